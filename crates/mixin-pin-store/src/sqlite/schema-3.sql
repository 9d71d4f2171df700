CREATE TABLE calls (
    session_id BLOB NOT NULL,
    request_id BLOB NOT NULL,
    -- The fence of the lease that the call is made with.
    fence INTEGER NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    -- 'update', 'verify' or 'other'.
    kind TEXT NOT NULL,
    -- Eight bytes each, big-endian.
    first_iterator BLOB NOT NULL,
    last_iterator BLOB NOT NULL,
    -- Nanoseconds since 1970, as eight bytes.
    sent_at BLOB NOT NULL,
    -- Seconds since 1970.
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (session_id, request_id)
) STRICT, WITHOUT ROWID