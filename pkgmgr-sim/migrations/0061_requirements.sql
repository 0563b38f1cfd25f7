-- What the packages of curated sources were asked for with, as the last requirements that were committed and what came after say: for R
-- a requirement a line, for Python the file.
CREATE TABLE curated_requirements (
    source_id BIGINT PRIMARY KEY REFERENCES sources (id),
    requirements TEXT NOT NULL
);
