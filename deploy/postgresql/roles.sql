-- The four roles of the service, with the least privileges that each needs. For psql, as a superuser, in the
-- service's database; before the first migration, and again after each upgrade. Passwords are optional:
--
--   psql -d analytics -v owner_password=... -v ingest_password=... -v admin_password=... -v reader_password=... \
--     -f deploy/postgresql/roles.sql
\set ON_ERROR_STOP on
\set QUIET on
BEGIN;

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['analytics_owner', 'analytics_ingest', 'analytics_admin', 'analytics_reader']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

\if :{?owner_password}
ALTER ROLE analytics_owner PASSWORD :'owner_password';
\endif
\if :{?ingest_password}
ALTER ROLE analytics_ingest PASSWORD :'ingest_password';
\endif
\if :{?admin_password}
ALTER ROLE analytics_admin PASSWORD :'admin_password';
\endif
\if :{?reader_password}
ALTER ROLE analytics_reader PASSWORD :'reader_password';
\endif

-- Whatever else is wrong, the reader's transactions cannot write.
ALTER ROLE analytics_reader SET default_transaction_read_only = on;

GRANT CONNECT ON DATABASE :"DBNAME" TO analytics_owner, analytics_ingest, analytics_admin, analytics_reader;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT CREATE, USAGE ON SCHEMA public TO analytics_owner;
GRANT USAGE ON SCHEMA public TO analytics_ingest, analytics_admin, analytics_reader;

-- What exists, and what the owner creates later: the partitions of the coming weeks, for example.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO analytics_ingest, analytics_admin;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO analytics_ingest, analytics_admin;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO analytics_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE analytics_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO analytics_ingest, analytics_admin;
ALTER DEFAULT PRIVILEGES FOR ROLE analytics_owner IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO analytics_ingest, analytics_admin;
ALTER DEFAULT PRIVILEGES FOR ROLE analytics_owner IN SCHEMA public GRANT SELECT ON TABLES TO analytics_reader;

-- Only migrations change these.
SELECT format('REVOKE INSERT, UPDATE, DELETE ON %s FROM analytics_ingest, analytics_admin', oid::regclass)
FROM pg_class
WHERE relnamespace = 'public'::regnamespace
    AND relname IN ('__diesel_schema_migrations', 'schema_compatibility', 'service_settings', 'business_clock') \gexec

COMMIT;
