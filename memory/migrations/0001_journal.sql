CREATE TABLE record (
    seq     INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    kind    TEXT    NOT NULL CHECK (kind IN ('fact', 'intent', 'result')),
    key     TEXT,
    body    TEXT,
    blob    TEXT,
    CHECK ((body IS NULL) <> (blob IS NULL)),
    CHECK ((kind = 'fact') = (key IS NULL))
) STRICT;

-- At most one result a key: the promise that a completed effect is never paid for twice.
CREATE UNIQUE INDEX one_result ON record (key) WHERE kind = 'result';
