"""The audit log as PostgreSQL keeps it. Triggers write it, in the transaction of the change, so it does not matter who
changed a row: the console, the API, a command, SQL by hand.

1. A trigger on each table of the configuration adds an entry with what changed. Columns with secrets are only named.
2. At commit, when every other lock is held already, a deferred trigger takes the chain's lock for an instant, gives the
   entry its number, and hashes it together with the hash before it (`tenants/core/audit.py` has the same rule).
3. A guard refuses to change, delete or truncate entries.

Who acts is in the setting ``relay.actor`` of the session (`tenants/audit.py`); without it, it is the database's user.
"""

from collections.abc import Sequence

from django.db import migrations

TABLE = "public.tenants_auditentry"
CHAIN_LOCK = 7_310_442_917
LONGEST = 500  # characters of a value that are kept
HIDDEN = "(hidden)"
HASHED = (
    "(extract(epoch from {row}.at) * 1000000)::bigint::text",
    "{row}.actor_kind",
    "{row}.actor",
    "{row}.address",
    "coalesce({row}.tenant_id::text, '')",
    "{row}.tenant",
    "{row}.action",
    "{row}.object",
    "{row}.object_id",
    "{row}.name",
    "{row}.changes::text",
)


def hashed(row: str) -> str:
    """The fields that are hashed, as SQL, of the row with this name."""
    return ", ".join(field.format(row=row) for field in HASHED)


NETSTRINGS = """
CREATE FUNCTION public.relay_netstrings(VARIADIC parts text[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg(octet_length(part) || ':' || part, ',' ORDER BY at)
    FROM unnest(parts) WITH ORDINALITY AS given (part, at)
$$;
"""
SHOWN = f"""
CREATE FUNCTION public.relay_audit_value(value jsonb, hidden boolean) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN value IS NULL OR value = 'null' THEN 'null'::jsonb
        WHEN hidden THEN to_jsonb('{HIDDEN}'::text)
        WHEN length(value #>> '{{}}') > {LONGEST} THEN to_jsonb(left(value #>> '{{}}', {LONGEST}) || '…')
        ELSE value END
$$;
"""
AUDIT = f"""
CREATE FUNCTION public.relay_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := CASE WHEN TG_OP = 'INSERT' THEN '{{}}' ELSE to_jsonb(OLD) END;
    after jsonb := CASE WHEN TG_OP = 'DELETE' THEN '{{}}' ELSE to_jsonb(NEW) END;
    this jsonb := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
    who jsonb := coalesce(nullif(current_setting('relay.actor', true), ''),
        jsonb_build_object('kind', 'database', 'name', session_user, 'address', '')::text)::jsonb;
    hidden text[] := string_to_array(TG_ARGV[2], ',');
    ignored text[] := string_to_array(TG_ARGV[3], ',');
    owner bigint;
    named text;
    changed jsonb;
BEGIN
    SELECT jsonb_object_agg(key, jsonb_build_array(
        public.relay_audit_value(before->key, key = ANY(hidden)),
        public.relay_audit_value(after->key, key = ANY(hidden))
    )) INTO changed
    FROM jsonb_object_keys(before || after) AS key
    WHERE key <> 'id' AND key <> ALL(ignored) AND before->key IS DISTINCT FROM after->key
        AND NOT (coalesce(before->key, 'null') IN ('null', '""', '[]', '{{}}')
            AND coalesce(after->key, 'null') IN ('null', '""', '[]', '{{}}'));
    IF changed IS NULL AND TG_OP = 'UPDATE' THEN
        RETURN NULL;
    END IF;
    EXECUTE 'SELECT (' || TG_ARGV[0] || ')::bigint' INTO owner USING this;
    EXECUTE 'SELECT (' || TG_ARGV[1] || ')::text' INTO named USING this;
    INSERT INTO {TABLE} (at, actor_kind, actor, address, tenant_id, tenant, action, object, object_id, name, changes)
    VALUES (
        clock_timestamp(), who->>'kind', who->>'name', who->>'address', owner,
        coalesce(CASE WHEN TG_TABLE_NAME = 'tenants_tenant' THEN this->>'slug'
            ELSE (SELECT slug FROM public.tenants_tenant WHERE id = owner) END, ''),
        CASE
            WHEN TG_TABLE_NAME = 'tenants_quotareset' AND TG_OP = 'INSERT' THEN 'reset'
            WHEN TG_TABLE_NAME = 'tenants_apikey' AND TG_OP = 'UPDATE' AND changed ? 'revoked_at' THEN 'revoked'
            WHEN TG_TABLE_NAME = 'routing_policy' AND TG_OP = 'UPDATE' AND changed ? 'active_version' THEN 'activated'
            ELSE CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END END,
        TG_TABLE_NAME, coalesce(this->>'id', ''), left(coalesce(named, ''), 200), coalesce(changed, '{{}}')
    );
    RETURN NULL;
END $$;
"""
SEAL = f"""
CREATE FUNCTION public.relay_audit_seal() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last record;
    following bigint;
    before text;
BEGIN
    PERFORM pg_advisory_xact_lock({CHAIN_LOCK});
    SELECT number, hash INTO last FROM {TABLE} WHERE number IS NOT NULL ORDER BY number DESC LIMIT 1;
    following := coalesce(last.number, 0) + 1;
    before := coalesce(last.hash, '');
    UPDATE {TABLE} SET number = following, previous = before, hash = encode(sha256(convert_to(
        public.relay_netstrings(following::text, before, {hashed("NEW")}), 'UTF8')), 'hex')
    WHERE id = NEW.id;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER relay_audit_seal AFTER INSERT ON {TABLE} DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION public.relay_audit_seal();
"""
GUARD = f"""
CREATE FUNCTION public.relay_audit_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.number := NULL;
        NEW.previous := '';
        NEW.hash := '';
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.number IS NULL
        AND to_jsonb(OLD) - '{{number,previous,hash}}'::text[] = to_jsonb(NEW) - '{{number,previous,hash}}'::text[] THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'The audit log is append-only.';
END $$;
CREATE TRIGGER relay_audit_guard BEFORE INSERT OR UPDATE OR DELETE ON {TABLE}
    FOR EACH ROW EXECUTE FUNCTION public.relay_audit_guard();
CREATE TRIGGER relay_audit_guard_all BEFORE TRUNCATE ON {TABLE}
    FOR EACH STATEMENT EXECUTE FUNCTION public.relay_audit_guard();
"""
DROP = f"""
DROP TRIGGER relay_audit_guard_all ON {TABLE};
DROP TRIGGER relay_audit_guard ON {TABLE};
DROP TRIGGER relay_audit_seal ON {TABLE};
DROP FUNCTION public.relay_audit_guard();
DROP FUNCTION public.relay_audit_seal();
DROP FUNCTION public.relay_audit();
DROP FUNCTION public.relay_audit_value(jsonb, boolean);
DROP FUNCTION public.relay_netstrings(text[]);
"""

PLATFORM = "NULL"
TENANT_ID = "$1->>'tenant_id'"
TENANT_OF_SCHEMA = "SELECT id FROM public.tenants_tenant WHERE schema_name = current_schema()"


def audit_log() -> migrations.RunSQL:
    """A migration step, after the one that makes the table."""
    return migrations.RunSQL(NETSTRINGS + SHOWN + AUDIT + SEAL + GUARD, DROP)


def audit_changes_of(
    table: str,
    *,
    tenant: str = TENANT_ID,
    name: str = "$1->>'name'",
    hidden: Sequence[str] = (),
    ignored: Sequence[str] = (),
    schema: str = "public.",
) -> migrations.RunSQL:
    """A migration step: from now on, changes of this table are in the audit log. ``schema``: empty for a table of each
    tenant's schema, whose rows are ``TENANT_OF_SCHEMA``'s.

    ``tenant`` and ``name`` are SQL expressions over the row as JSON, ``$1``: whose it is (an id, or NULL for the
    platform's) and what a person calls it. Of ``hidden`` columns it is only said that they changed, of ``ignored`` ones
    not even that.
    """
    given = [tenant, name, ",".join(hidden), ",".join(("created_at", *ignored))]
    arguments = ", ".join("'" + text.replace("'", "''") + "'" for text in given)
    return migrations.RunSQL(
        f'CREATE TRIGGER relay_audit AFTER INSERT OR UPDATE OR DELETE ON {schema}"{table}" '
        f"FOR EACH ROW EXECUTE FUNCTION public.relay_audit({arguments})",
        f'DROP TRIGGER relay_audit ON {schema}"{table}"',
    )
