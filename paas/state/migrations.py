"""The schema, step by step. A step that has been released never changes; new ones are added at the end."""

from __future__ import annotations

_1_FOUNDATION = """
CREATE TABLE apps (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created TEXT NOT NULL,
    release INTEGER,                            -- the number of the release that serves
    stopped INTEGER NOT NULL DEFAULT 0,
    own_domains INTEGER NOT NULL DEFAULT 0      -- 0: hostnames follow the global domains
);
CREATE TABLE properties (                       -- app 0: global
    app INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (app, key)
) WITHOUT ROWID;
CREATE TABLE config (                           -- app 0: global
    app INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (app, key)
) WITHOUT ROWID;
CREATE TABLE global_domains (position INTEGER PRIMARY KEY, hostname TEXT NOT NULL UNIQUE);
CREATE TABLE domains (
    hostname TEXT PRIMARY KEY,
    app INTEGER NOT NULL REFERENCES apps(id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE TABLE ports (
    app INTEGER NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    scheme TEXT NOT NULL,
    host INTEGER NOT NULL,
    container INTEGER NOT NULL,
    PRIMARY KEY (app, scheme, host)
) WITHOUT ROWID;
CREATE TABLE scale (
    app INTEGER NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    process TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (app, process)
) WITHOUT ROWID;
CREATE TABLE mounts (
    app INTEGER NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    target TEXT NOT NULL,
    source TEXT NOT NULL,
    read_only INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (app, target)
) WITHOUT ROWID;
CREATE TABLE layers (
    number INTEGER PRIMARY KEY AUTOINCREMENT,   -- names the directory; never given twice
    id TEXT NOT NULL UNIQUE,                    -- sha256:HEX of what the layer is
    size INTEGER NOT NULL,
    diff_id TEXT,                               -- digest of the layer's tar, once something needed it
    created TEXT NOT NULL
);
CREATE TABLE images (
    id TEXT PRIMARY KEY,                        -- sha256:HEX
    config TEXT NOT NULL,                       -- JSON
    history TEXT NOT NULL,                      -- JSON
    architecture TEXT NOT NULL,
    created TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE image_layers (
    image TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
    position INTEGER NOT NULL,                  -- 0 is the bottom
    layer INTEGER NOT NULL REFERENCES layers(number),
    PRIMARY KEY (image, position)
) WITHOUT ROWID;
CREATE INDEX image_layers_by_layer ON image_layers(layer);
CREATE TABLE tags (
    reference TEXT PRIMARY KEY,                 -- NAME:TAG
    image TEXT NOT NULL REFERENCES images(id)
) WITHOUT ROWID;
CREATE TABLE build_cache (
    key TEXT PRIMARY KEY,                       -- parent + instruction + its inputs
    layer INTEGER REFERENCES layers(number) ON DELETE CASCADE,
    used TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE releases (
    app INTEGER NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    image TEXT NOT NULL REFERENCES images(id),
    config TEXT NOT NULL,                       -- JSON; likewise the next three
    processes TEXT NOT NULL,
    ports TEXT NOT NULL,
    mounts TEXT NOT NULL,
    git_commit TEXT NOT NULL,
    created TEXT NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (app, number)
) WITHOUT ROWID;
CREATE TABLE services (                         -- virtual addresses
    address TEXT PRIMARY KEY,
    app INTEGER NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    process TEXT NOT NULL,
    UNIQUE (app, process)
) WITHOUT ROWID;
CREATE TABLE instances (
    id TEXT PRIMARY KEY,                        -- the container's id
    app INTEGER NOT NULL REFERENCES apps(id),
    release INTEGER NOT NULL,
    process TEXT NOT NULL,
    position INTEGER NOT NULL,                  -- web.1 has 1
    address TEXT NOT NULL,
    port INTEGER,
    state TEXT NOT NULL,
    started TEXT NOT NULL,
    restarts INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT ''             -- why it last ended by itself
) WITHOUT ROWID;
CREATE INDEX instances_by_app ON instances(app);
CREATE TABLE ssh_keys (
    fingerprint TEXT PRIMARY KEY,               -- SHA256:BASE64
    name TEXT NOT NULL UNIQUE,
    public_key TEXT NOT NULL,
    admin INTEGER NOT NULL DEFAULT 0,
    created TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    who TEXT NOT NULL,
    address TEXT NOT NULL,
    app TEXT NOT NULL,
    action TEXT NOT NULL,
    detail TEXT NOT NULL
);
"""

_2_BUILDS = """
ALTER TABLE layers ADD COLUMN settled INTEGER NOT NULL DEFAULT 1;   -- 0: perhaps not on disk yet
ALTER TABLE build_cache ADD COLUMN below TEXT NOT NULL DEFAULT '';  -- numbers of layers that come with it, below it
CREATE TABLE copies (                           -- the last result of a COPY, which the next is made from
    shape TEXT PRIMARY KEY,                     -- all of its cache key but the content
    layers TEXT NOT NULL,                       -- numbers, bottom first
    snapshot BLOB NOT NULL                      -- what was copied
) WITHOUT ROWID;
CREATE TABLE downloads (                        -- what ADD got from an address
    url TEXT PRIMARY KEY,
    etag TEXT NOT NULL,
    content TEXT NOT NULL,                      -- sha256:HEX
    name TEXT NOT NULL,
    time INTEGER                                -- seconds since the epoch
) WITHOUT ROWID;
CREATE TABLE builds (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app INTEGER REFERENCES apps(id) ON DELETE CASCADE,  -- NULL: `paas build`
    name TEXT NOT NULL,                         -- the app's, or the image's
    who TEXT NOT NULL,
    source TEXT NOT NULL,
    started TEXT NOT NULL,
    ended TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL,
    steps INTEGER NOT NULL DEFAULT 0,
    cached INTEGER NOT NULL DEFAULT 0,
    image TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT ''
);
CREATE INDEX builds_by_app ON builds(app);
UPDATE properties SET key = 'git:deploy-branch' WHERE key = 'deploy-branch';
"""

_3_CONTAINERS = """
CREATE TABLE containers (                       -- those that belong to no app
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    image TEXT NOT NULL REFERENCES images(id),
    reference TEXT NOT NULL,                    -- what the image was called when the container was made
    options TEXT NOT NULL,                      -- JSON, as paas.containers.model writes it
    ports TEXT NOT NULL,                        -- JSON: [protocol, host port, container port]
    created TEXT NOT NULL,
    state TEXT NOT NULL,
    address TEXT,                               -- while it runs
    started TEXT NOT NULL DEFAULT '',
    finished TEXT NOT NULL DEFAULT '',
    exit_code INTEGER,                          -- of its last end
    oom INTEGER NOT NULL DEFAULT 0,
    restarts INTEGER NOT NULL DEFAULT 0,
    stopped INTEGER NOT NULL DEFAULT 0,         -- by somebody, not by itself
    health TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT ''              -- why it could not be started the last time
) WITHOUT ROWID;
CREATE INDEX containers_by_image ON containers(image);
"""

_4_REGISTRIES = """
CREATE TABLE origins (                          -- what a tag was when it was pulled or pushed
    reference TEXT PRIMARY KEY,                 -- NAME:TAG
    image TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
    digest TEXT NOT NULL                        -- of the manifest, or of the index that names it
) WITHOUT ROWID;
CREATE INDEX origins_by_image ON origins(image);
CREATE TABLE blobs (                            -- where a layer lies in registries
    layer INTEGER NOT NULL REFERENCES layers(number) ON DELETE CASCADE,
    registry TEXT NOT NULL,
    repository TEXT NOT NULL,
    digest TEXT NOT NULL,                       -- of the blob, compressed as it is there
    size INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    diff_id TEXT NOT NULL,                      -- of its content
    PRIMARY KEY (layer, registry, repository)
) WITHOUT ROWID;
CREATE INDEX layers_by_diff_id ON layers(diff_id);
"""

_5_RELEASES = """
ALTER TABLE releases ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';    -- JSON, as paas.state.releases writes it
CREATE TABLE sealed (                           -- columns whose values are all encrypted: paas.state.sealed
    name TEXT PRIMARY KEY                       -- TABLE.COLUMN
) WITHOUT ROWID;
"""

_6_PEOPLE = """
CREATE TABLE access (
    user TEXT NOT NULL,                         -- the name that keys are kept under
    app INTEGER NOT NULL,                       -- 0: all apps
    role TEXT NOT NULL,
    standard INTEGER NOT NULL DEFAULT 0,        -- came with the user's first key
    PRIMARY KEY (user, app, role)
) WITHOUT ROWID;
INSERT INTO access (user, app, role, standard)
    SELECT name, 0, CASE admin WHEN 1 THEN 'admin' ELSE 'deploy' END, admin = 0 FROM ssh_keys;
CREATE TABLE keys_of_users (                    -- as ssh_keys, but a user may have several
    fingerprint TEXT PRIMARY KEY,               -- SHA256:BASE64
    name TEXT NOT NULL,
    public_key TEXT NOT NULL,
    created TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO keys_of_users SELECT fingerprint, name, public_key, created FROM ssh_keys;
DROP TABLE ssh_keys;
ALTER TABLE keys_of_users RENAME TO ssh_keys;
CREATE INDEX ssh_keys_by_name ON ssh_keys(name);
ALTER TABLE events ADD COLUMN outcome TEXT NOT NULL DEFAULT '';     -- '', failed, denied
CREATE TABLE deploy_locks (                     -- apps:lock
    app INTEGER PRIMARY KEY REFERENCES apps(id) ON DELETE CASCADE,
    who TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE TABLE past_instances (                   -- gone, but their logs are kept
    id TEXT PRIMARY KEY,
    app INTEGER NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    release INTEGER NOT NULL,
    name TEXT NOT NULL,                         -- web.1
    started TEXT NOT NULL,
    ended TEXT NOT NULL,
    failed INTEGER NOT NULL,                    -- it never became healthy
    size INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX past_instances_by_app ON past_instances(app, ended);
CREATE TABLE oneoffs (                          -- run:detached
    id TEXT PRIMARY KEY,
    app INTEGER NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    name TEXT NOT NULL,                         -- run.4711
    command TEXT NOT NULL,                      -- JSON
    address TEXT NOT NULL,
    who TEXT NOT NULL,
    started TEXT NOT NULL,
    expires TEXT NOT NULL,
    UNIQUE (app, name)
) WITHOUT ROWID;
"""

_7_ORDER_OF_DOMAINS = """
ALTER TABLE domains ADD COLUMN position INTEGER NOT NULL DEFAULT 0;   -- the most important hostname is the first
"""

_8_STORAGE = """
CREATE TABLE mounts_anew (
    app INTEGER NOT NULL REFERENCES apps(id) ON DELETE CASCADE,
    target TEXT NOT NULL,
    source TEXT NOT NULL,
    read_only INTEGER NOT NULL DEFAULT 0,
    processes TEXT NOT NULL DEFAULT '',         -- with spaces between; none: all
    phases TEXT NOT NULL DEFAULT 'deploy run',
    entry TEXT NOT NULL DEFAULT '',             -- of storage_entries
    subpath TEXT NOT NULL DEFAULT '',           -- below source
    PRIMARY KEY (app, target, processes, phases)
) WITHOUT ROWID;
INSERT INTO mounts_anew (app, target, source, read_only) SELECT app, target, source, read_only FROM mounts;
DROP TABLE mounts;
ALTER TABLE mounts_anew RENAME TO mounts;
CREATE TABLE storage_entries (
    name TEXT PRIMARY KEY,
    path TEXT NOT NULL,
    owner INTEGER,                              -- whose it was last made
    created TEXT NOT NULL
) WITHOUT ROWID;
"""

_9_NETWORKS = """
CREATE TABLE networks (
    name TEXT PRIMARY KEY,
    created TEXT NOT NULL
) WITHOUT ROWID;
"""

_10_READINESS = """
ALTER TABLE instances ADD COLUMN unready TEXT NOT NULL DEFAULT '{}';   -- JSON: failed check -> why
"""

_11_SEALS = """
CREATE TABLE seals (                            -- of the directories of layers, as paas.image.seal makes them
    layer INTEGER PRIMARY KEY REFERENCES layers(number) ON DELETE CASCADE,
    shape TEXT NOT NULL,
    content TEXT NOT NULL DEFAULT '',           -- '': not yet
    damage TEXT NOT NULL DEFAULT ''             -- what the last check of all files has found
);
"""

_12_FOUND_BY = """
CREATE INDEX domains_by_app ON domains(app);
CREATE INDEX properties_by_key ON properties(key);
"""

_13_USED_BY = """
CREATE INDEX releases_by_image ON releases(image);
CREATE INDEX tags_by_image ON tags(image);
CREATE INDEX build_cache_by_layer ON build_cache(layer);
"""

_14_STALE = """
ALTER TABLE instances ADD COLUMN stale INTEGER NOT NULL DEFAULT 0;  -- runs on a directory of a layer made anew since
"""

MIGRATIONS: tuple[str, ...] = (
    _1_FOUNDATION,
    _2_BUILDS,
    _3_CONTAINERS,
    _4_REGISTRIES,
    _5_RELEASES,
    _6_PEOPLE,
    _7_ORDER_OF_DOMAINS,
    _8_STORAGE,
    _9_NETWORKS,
    _10_READINESS,
    _11_SEALS,
    _12_FOUND_BY,
    _13_USED_BY,
    _14_STALE,
)
