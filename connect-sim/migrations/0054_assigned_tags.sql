-- The tags above an assigned one are assigned as well, but for the category.
INSERT INTO content_tags (content_guid, tag_id)
WITH RECURSIVE above (content_guid, tag_id) AS (
    SELECT content_guid, tag_id FROM content_tags
    UNION
    SELECT above.content_guid, tags.parent_id FROM above JOIN tags ON tags.id = above.tag_id WHERE tags.parent_id IS NOT NULL
)
SELECT above.content_guid, above.tag_id FROM above JOIN tags ON tags.id = above.tag_id
WHERE tags.parent_id IS NOT NULL
ON CONFLICT DO NOTHING;
