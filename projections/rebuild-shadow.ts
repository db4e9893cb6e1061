/**
 * The tables that a rebuild fills: in a schema of their own, made like the live ones, with the same partitions and the same names, so
 * that `apply` writes them unchanged: they are the only ones on the search path. Everything is read off the live tables as they are now; nothing
 * about them is known here.
 */
import type { Client, Queryable } from '../src/store/pool.ts'
import type { Projection } from './projection.ts'

/** Where live tables are. */
export const LIVE = 'public'
/** Memory that making an index may take, in MB. */
const INDEX_MB = 256

/** Where the tables of a rebuild are until they go live. */
export const schemaOf = ({ name }: Pick<Projection, 'name'>): string => `rebuild_${name}`

/**
 * What runs the statements of `apply` inside the schema, until the transaction ends. In it alone: if somebody has thrown it away, they
 * fail, and never find the live tables. Tables begin empty, and plans that were made then
 * would read them whole for the rest of a session: so rows are always looked up by index. And a plan that has no index is no reason to compile it.
 */
const insideSchema = (schema: string): string => `
  SET LOCAL search_path = ${schema};
  SET LOCAL enable_seqscan = off;
  SET LOCAL enable_hashjoin = off;
  SET LOCAL enable_mergejoin = off;
  SET LOCAL jit = off`

/** From here on a transaction has the tables of the rebuild on its search path, and no others. */
export async function enterSchema (tx: Queryable, projection: Pick<Projection, 'name'>): Promise<void> {
  await tx.query(`${insideSchema(schemaOf(projection))}; SET LOCAL synchronous_commit = off`)
}

/** And from here on as before. */
export async function leaveSchema (tx: Queryable): Promise<void> {
  await tx.query('SET LOCAL search_path TO DEFAULT; SET LOCAL synchronous_commit TO DEFAULT; SET LOCAL enable_seqscan TO DEFAULT; SET LOCAL enable_hashjoin TO DEFAULT; SET LOCAL enable_mergejoin TO DEFAULT; SET LOCAL jit TO DEFAULT')
}

/** The same projection over the tables of the rebuild, with checkpoints of its own. Its commits do not wait for the disk: rows and checkpoint are lost together. */
export function shadowOf (projection: Projection): Projection {
  const inside = async (tx: Queryable): Promise<void> => { await enterSchema(tx, projection) }
  return {
    name: `${projection.name}_rebuild`,
    version: projection.version,
    tables: projection.tables,
    async apply (tx, batch) {
      await inside(tx)
      await projection.apply(tx, batch)
    },
    async forget (tx, roomIds) {
      await inside(tx)
      await projection.forget!(tx, roomIds)
    },
  }
}

/** Fingerprint of the live tables: columns, indexes, partitions. Tables that were copied of another one cannot take their place. */
export async function structureOf (db: Queryable, { tables }: Projection): Promise<string> {
  const { rows: [row] } = await db.query<{ fingerprint: string }>(`
    WITH tables AS (
         SELECT oid, relname
           FROM pg_class
          WHERE relnamespace = $1::regnamespace
            AND relname = ANY ($2::text[]))
    SELECT md5(string_agg(line, E'\\n' ORDER BY line)) AS fingerprint
      FROM (
           SELECT format('%s %s %s %s %s', relname, attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid)) AS line
             FROM tables
             JOIN pg_attribute ON attrelid = tables.oid AND attnum > 0 AND NOT attisdropped
             LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
           UNION ALL
           SELECT pg_get_indexdef(indexrelid) FROM tables JOIN pg_index ON indrelid = tables.oid
           UNION ALL
           SELECT format('%s %s', child.relname, pg_get_expr(child.relpartbound, child.oid))
             FROM tables
             JOIN pg_inherits ON inhparent = tables.oid
             JOIN pg_class AS child ON child.oid = inhrelid) AS lines`, [LIVE, tables])
  return row!.fingerprint
}

/** Runs statements that a query wrote, in its order. */
async function runAll (tx: Queryable, query: string, values: unknown[]): Promise<void> {
  const { rows } = await tx.query<{ ddl: string }>(query, values)
  if (rows.length > 0) await tx.query(rows.map(({ ddl }) => ddl).join(';\n'))
}

/** Makes the schema, and in it the tables with their keys and what `apply` looks things up by. The other indexes come later. */
export async function createTables (tx: Queryable, projection: Projection): Promise<void> {
  const schema = schemaOf(projection)
  await tx.query(`CREATE SCHEMA ${schema}`)
  await tx.query(`COMMENT ON SCHEMA ${schema} IS 'Tables of ${projection.name} that are being filled anew: npx millrace rebuild ${projection.name}.'`)
  await runAll(tx, `
    SELECT format('CREATE TABLE %I.%I (LIKE %I.%I INCLUDING ALL EXCLUDING INDEXES)%s%s', $2::text, relname, $1::text, relname,
                  ' PARTITION BY ' || pg_get_partkeydef(oid), ' WITH (' || array_to_string(reloptions, ', ') || ')') AS ddl
      FROM pg_class
     WHERE relnamespace = $1::regnamespace
       AND relname = ANY ($3::text[])`, [LIVE, schema, projection.tables])
  await runAll(tx, `
    SELECT format('CREATE TABLE %I.%I PARTITION OF %I.%I %s%s', $2::text, child.relname, $2::text, parent.relname,
                  pg_get_expr(child.relpartbound, child.oid), ' WITH (' || array_to_string(child.reloptions, ', ') || ')') AS ddl
      FROM pg_class AS parent
      JOIN pg_inherits ON inhparent = parent.oid
      JOIN pg_class AS child ON child.oid = inhrelid
     WHERE parent.relnamespace = $1::regnamespace
       AND parent.relname = ANY ($3::text[])`, [LIVE, schema, projection.tables])
  await runAll(tx, `
    SELECT format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s', $2::text, relname, conname, pg_get_constraintdef(pg_constraint.oid)) AS ddl
      FROM pg_constraint
      JOIN pg_class ON pg_class.oid = conrelid
     WHERE relnamespace = $1::regnamespace
       AND relname = ANY ($3::text[])
       AND contype IN ('p', 'u')`, [LIVE, schema, projection.tables])
  for (const index of await missingIndexes(tx, projection)) if (projection.lookups?.includes(index.name) === true) await createIndex(tx, projection, index)
}

export interface Index { readonly name: string, readonly definition: string }

/** Indexes of the live tables that those of the rebuild do not have yet. */
export async function missingIndexes (db: Queryable, projection: Projection): Promise<Index[]> {
  // Pretty: then the table is named without its schema, and is another one on another search path.
  const { rows } = await db.query<Index>(`
    SELECT index.relname AS name, replace(pg_get_indexdef(index.oid, 0, true), ' ON ONLY ', ' ON ') AS definition
      FROM pg_class AS live
      JOIN pg_index ON indrelid = live.oid
      JOIN pg_class AS index ON index.oid = indexrelid
     WHERE live.relnamespace = $1::regnamespace
       AND live.relname = ANY ($3::text[])
       AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = index.oid)
       AND NOT EXISTS (SELECT FROM pg_class AS made WHERE made.relnamespace = $2::regnamespace AND made.relname = index.relname)
     ORDER BY name`, [LIVE, schemaOf(projection), projection.tables])
  return rows
}

/** In a transaction. */
export async function createIndex (tx: Queryable, projection: Projection, { definition }: Index): Promise<void> {
  await tx.query(`SET LOCAL search_path = ${schemaOf(projection)}, ${LIVE}; SET LOCAL maintenance_work_mem = '${INDEX_MB}MB'; ${definition}; SET LOCAL search_path TO DEFAULT`)
}

/** Tells Postgres what is in the tables, so that the first plans over them are right, and marks pages that all may see. Outside of transactions. */
export async function vacuum (client: Client, projection: Projection): Promise<void> {
  for (const table of projection.tables) await client.query(`VACUUM (ANALYZE) ${schemaOf(projection)}.${table}`)
}

/** The tables of a rebuild that is given up, whatever state they are in. */
export async function dropTables (tx: Queryable, projection: Pick<Projection, 'name'>): Promise<void> {
  await tx.query(`DROP SCHEMA IF EXISTS ${schemaOf(projection)} CASCADE`)
}

/** Puts on the tables of the rebuild what stands on the live ones: comments, owner, grants, row-level security. Once, right before they go live. */
export async function dress (tx: Queryable, projection: Projection): Promise<void> {
  await runAll(tx, `
    WITH live AS (
         SELECT part.oid, part.relname, part.relowner, part.relacl, part.relrowsecurity, part.relforcerowsecurity, format('%I.%I', $2::text, part.relname) AS made
           FROM pg_class AS root
          CROSS JOIN LATERAL pg_partition_tree(root.oid) AS tree
           JOIN pg_class AS part ON part.oid = tree.relid
          WHERE root.relnamespace = $1::regnamespace
            AND root.relname = ANY ($3::text[])
         UNION
         SELECT oid, relname, relowner, relacl, relrowsecurity, relforcerowsecurity, format('%I.%I', $2::text, relname)
           FROM pg_class
          WHERE relnamespace = $1::regnamespace
            AND relname = ANY ($3::text[]))
    SELECT ddl
      FROM (
           SELECT 1 AS step, format('COMMENT ON TABLE %s IS %L', made, obj_description(oid, 'pg_class')) AS ddl
             FROM live
           UNION ALL
           SELECT 2, format('ALTER TABLE %s OWNER TO %I', made, pg_get_userbyid(relowner))
             FROM live
            WHERE pg_get_userbyid(relowner) <> current_user
           UNION ALL
           SELECT 3, format('GRANT %s ON %s TO %s%s', privilege_type, made, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
             FROM live
            CROSS JOIN LATERAL aclexplode(relacl)
            WHERE grantee <> relowner
           UNION ALL
           SELECT 3, format('GRANT %s (%I) ON %s TO %s%s', privilege_type, attname, made, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
             FROM live
             JOIN pg_attribute ON attrelid = live.oid AND NOT attisdropped
            CROSS JOIN LATERAL aclexplode(attacl)
           UNION ALL
           SELECT 4, format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', made) FROM live WHERE relrowsecurity
           UNION ALL
           SELECT 4, format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', made) FROM live WHERE relforcerowsecurity
           UNION ALL
           SELECT 5, format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', policyname, made, permissive, cmd, (SELECT string_agg(quote_ident(role), ', ') FROM unnest(roles) AS role),
                            ' USING (' || qual || ')', ' WITH CHECK (' || with_check || ')')
             FROM live
             JOIN pg_policies ON schemaname = $1::text AND tablename = relname
           UNION ALL
           SELECT 6, format('COMMENT ON POLICY %I ON %s IS %L', polname, made, obj_description(pg_policy.oid, 'pg_policy'))
             FROM live
             JOIN pg_policy ON polrelid = live.oid) AS steps
     ORDER BY step`, [LIVE, schemaOf(projection), projection.tables])
}
