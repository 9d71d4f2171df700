CREATE TABLE sessions (
    session_id BLOB PRIMARY KEY,
    -- Eight bytes, big-endian: SQLite's integers have a sign.
    last_iterator BLOB NOT NULL,
    -- Drawn at random for each hold: a holder whose fence is not this one has lost the session.
    fence INTEGER NOT NULL,
    -- Nanoseconds since 1970; NULL where nobody holds the session.
    held_until INTEGER,
    -- Nanoseconds.
    lease INTEGER NOT NULL,
    -- The file that the holder's process keeps locked, and the fence of the hold that wrote it: one by version 1 does not.
    holder BLOB,
    holder_fence INTEGER,
    -- How far the owner raised the last iterator, as eight bytes.
    raised_to BLOB
) STRICT, WITHOUT ROWID