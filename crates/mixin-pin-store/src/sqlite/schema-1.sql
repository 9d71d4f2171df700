CREATE TABLE sessions (
        session_id BLOB PRIMARY KEY,
        -- Eight bytes, big-endian: SQLite's integers have a sign.
        last_iterator BLOB NOT NULL,
        -- Raised with each hold: a holder whose fence is not this one has lost the session.
        fence INTEGER NOT NULL,
        -- Nanoseconds since 1970; NULL where nobody holds the session.
        held_until INTEGER,
        -- Nanoseconds.
        lease INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID