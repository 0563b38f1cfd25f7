-- What a curated source was made with. `include` is a list with commas.
CREATE TABLE curated (
    source_id BIGINT PRIMARY KEY REFERENCES sources (id),
    include TEXT NOT NULL,
    no_archived BIGINT NOT NULL
);
