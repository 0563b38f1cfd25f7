-- Sources whose files are all here, by the transaction of the state that was gone through.
CREATE TABLE files_here (
    source_id BIGINT PRIMARY KEY REFERENCES sources (id),
    tx BIGINT NOT NULL
);
