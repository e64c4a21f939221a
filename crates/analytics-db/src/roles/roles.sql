-- The four roles, as what may create roles: a superuser, or a role with CREATEROLE that owns the database.
-- May be run again.
DO $$
DECLARE
    role text;
    former regrole;
    command text;
BEGIN
    FOREACH role IN ARRAY ARRAY['PREFIX_owner', 'PREFIX_ingest', 'PREFIX_admin', 'PREFIX_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role);
        END IF;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
    END LOOP;
    -- Only a member may give objects to a role.
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT PREFIX_owner TO %I', current_user);
    END IF;
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    -- verify and rebuild compare by temporary tables.
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PREFIX_owner, PREFIX_admin', current_database());
    -- Whatever else is wrong, the reader's transactions cannot write.
    EXECUTE format('ALTER ROLE PREFIX_reader IN DATABASE %I SET default_transaction_read_only = on', current_database());
    -- The schema bi is created by a migration.
    EXECUTE format('GRANT CREATE ON DATABASE %I TO PREFIX_owner', current_database());
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    GRANT CREATE, USAGE ON SCHEMA public TO PREFIX_owner;

    -- A service that ran with one role: what that role created belongs to the owner now. It stays a member of the
    -- owner, so that processes that still log in with it go on.
    SELECT relowner INTO former FROM pg_class WHERE oid = to_regclass('public.__diesel_schema_migrations');
    IF former <> 'PREFIX_owner'::regrole THEN
        FOR command IN
            SELECT format('ALTER %s %s OWNER TO PREFIX_owner',
                CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, oid::regclass)
            FROM pg_class c
            WHERE relnamespace IN (to_regnamespace('public'), to_regnamespace('bi')) AND relowner = former
                AND relkind IN ('r', 'p', 'v', 'S')
                -- Sequences of identity columns follow their tables; what an extension created is not ours.
                AND NOT EXISTS (
                    SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                        AND (d.deptype = 'e' OR c.relkind = 'S' AND d.deptype IN ('a', 'i')))
            UNION ALL
            SELECT format('ALTER FUNCTION %s OWNER TO PREFIX_owner', oid::regprocedure)
            FROM pg_proc p
            WHERE pronamespace IN (to_regnamespace('public'), to_regnamespace('bi')) AND proowner = former
                AND NOT EXISTS (
                    SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
            UNION ALL
            SELECT 'ALTER SCHEMA bi OWNER TO PREFIX_owner' FROM pg_namespace WHERE nspname = 'bi' AND nspowner = former
        LOOP
            EXECUTE command;
        END LOOP;
        IF NOT (SELECT rolsuper FROM pg_roles WHERE oid = former) THEN
            EXECUTE format('GRANT PREFIX_owner TO %s', former);
        END IF;
    END IF;

    -- What the owner creates later: the partitions of the coming weeks, for example.
    ALTER DEFAULT PRIVILEGES FOR ROLE PREFIX_owner IN SCHEMA public
        GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO PREFIX_ingest, PREFIX_admin;
    ALTER DEFAULT PRIVILEGES FOR ROLE PREFIX_owner IN SCHEMA public
        GRANT USAGE, SELECT ON SEQUENCES TO PREFIX_ingest, PREFIX_admin;
    ALTER DEFAULT PRIVILEGES FOR ROLE PREFIX_owner IN SCHEMA public GRANT SELECT ON TABLES TO PREFIX_reader;
END
$$;
