//! What is asked of a target to know its catalogue.

/// Reads a target's catalogue: each is one statement for the simple protocol, and every column it
/// returns is text. They qualify every name and operator, because the search path may hold others of
/// the same name. One row is one fact; nothing has to be taken apart, whatever an object is called.
pub const QUERIES: [&str; 10] = [
    // The session.
    "SELECT pg_catalog.current_database()::pg_catalog.text, \
            CURRENT_USER::pg_catalog.text, \
            (SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_namespace n \
              WHERE n.oid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())",
    // Where names are looked for, in order, with the implicit schemas.
    "SELECT s.name::pg_catalog.text \
       FROM pg_catalog.unnest(pg_catalog.current_schemas(true)) WITH ORDINALITY AS s(name, place) \
      ORDER BY s.place USING OPERATOR(pg_catalog.<)",
    // Relations. Views of the system are read like tables: what they show is the system's.
    "SELECT c.oid::pg_catalog.text, n.nspname::pg_catalog.text, c.relname::pg_catalog.text, \
            c.relkind::pg_catalog.text, \
            CASE WHEN c.relkind OPERATOR(pg_catalog.=) ANY \
                      ('{v,m}'::pg_catalog.\"char\"[]) \
                  AND n.nspname OPERATOR(pg_catalog.<>) ALL \
                      ('{pg_catalog,information_schema}'::pg_catalog.name[]) \
                 THEN pg_catalog.pg_get_viewdef(c.oid) END \
       FROM pg_catalog.pg_class c \
       JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
      WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S,c}'::pg_catalog.\"char\"[])",
    // Their columns.
    "SELECT a.attrelid::pg_catalog.oid::pg_catalog.text, a.attnum::pg_catalog.text, \
            a.attname::pg_catalog.text, \
            a.atttypid::pg_catalog.oid::pg_catalog.text, \
            (a.attgenerated OPERATOR(pg_catalog.<>) ''::pg_catalog.\"char\")::pg_catalog.text \
       FROM pg_catalog.pg_attribute a \
       JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) a.attrelid \
      WHERE a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT a.attisdropped \
        AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S,c}'::pg_catalog.\"char\"[]) \
      ORDER BY a.attrelid USING OPERATOR(pg_catalog.<), a.attnum USING OPERATOR(pg_catalog.<)",
    // Functions that are not the system's own.
    "SELECT n.nspname::pg_catalog.text, p.proname::pg_catalog.text, \
            p.provolatile::pg_catalog.text, l.lanname::pg_catalog.text, \
            p.proretset::pg_catalog.text, \
            EXISTS (SELECT 1 FROM pg_catalog.pg_depend d \
                     WHERE d.classid OPERATOR(pg_catalog.=) \
                           'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid \
                       AND d.objid OPERATOR(pg_catalog.=) p.oid \
                       AND d.deptype OPERATOR(pg_catalog.=) 'e'::pg_catalog.\"char\" \
                   )::pg_catalog.text \
       FROM pg_catalog.pg_proc p \
       JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace \
       JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang \
      WHERE n.nspname OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.name \
         OR p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid",
    // Operators that are not the system's own.
    "SELECT n.nspname::pg_catalog.text, o.oprname::pg_catalog.text, \
            p.provolatile::pg_catalog.text, l.lanname::pg_catalog.text, \
            EXISTS (SELECT 1 FROM pg_catalog.pg_depend d \
                     WHERE d.classid OPERATOR(pg_catalog.=) \
                           'pg_catalog.pg_operator'::pg_catalog.regclass::pg_catalog.oid \
                       AND d.objid OPERATOR(pg_catalog.=) o.oid \
                       AND d.deptype OPERATOR(pg_catalog.=) 'e'::pg_catalog.\"char\" \
                   )::pg_catalog.text \
       FROM pg_catalog.pg_operator o \
       JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace \
       LEFT JOIN pg_catalog.pg_proc p \
         ON p.oid OPERATOR(pg_catalog.=) o.oprcode::pg_catalog.oid \
       LEFT JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang \
      WHERE n.nspname OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.name \
         OR o.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid",
    // Which tables are partitions or inheritance children of which.
    "SELECT i.inhrelid::pg_catalog.oid::pg_catalog.text, \
            i.inhparent::pg_catalog.oid::pg_catalog.text \
       FROM pg_catalog.pg_inherits i \
       JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.inhrelid \
      WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,f}'::pg_catalog.\"char\"[])",
    // Generated columns, and each column that they are made of. Before PostgreSQL 15 the column itself
    // depended on them, since then its expression does.
    "SELECT g.adrelid::pg_catalog.oid::pg_catalog.text, g.adnum::pg_catalog.text, \
            d.refobjsubid::pg_catalog.text \
       FROM pg_catalog.pg_attrdef g \
       JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) g.adrelid \
        AND a.attnum OPERATOR(pg_catalog.=) g.adnum \
       JOIN pg_catalog.pg_depend d ON d.refclassid OPERATOR(pg_catalog.=) \
              'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid \
        AND d.refobjid OPERATOR(pg_catalog.=) g.adrelid \
        AND d.refobjsubid OPERATOR(pg_catalog.>) 0 \
        AND (d.classid OPERATOR(pg_catalog.=) \
               'pg_catalog.pg_attrdef'::pg_catalog.regclass::pg_catalog.oid \
             AND d.objid OPERATOR(pg_catalog.=) g.oid \
             OR d.classid OPERATOR(pg_catalog.=) d.refclassid \
             AND d.objid OPERATOR(pg_catalog.=) g.adrelid \
             AND d.objsubid OPERATOR(pg_catalog.=) g.adnum) \
      WHERE a.attgenerated OPERATOR(pg_catalog.<>) ''::pg_catalog.\"char\"",
    // Types that are not the system's own, and what they are made of: a base type, an element type, or
    // the columns of a relation.
    "SELECT t.oid::pg_catalog.oid::pg_catalog.text, n.nspname::pg_catalog.text, \
            t.typname::pg_catalog.text, t.typbasetype::pg_catalog.oid::pg_catalog.text, \
            t.typelem::pg_catalog.oid::pg_catalog.text, t.typrelid::pg_catalog.oid::pg_catalog.text \
       FROM pg_catalog.pg_type t \
       JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace \
      WHERE n.nspname OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.name \
         OR t.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid",
    // Functions that are not the system's own and that making a value of a type calls: in the
    // constraints of a domain, and as a cast to the type.
    "SELECT t.oid::pg_catalog.oid::pg_catalog.text, n.nspname::pg_catalog.text, \
            t.typname::pg_catalog.text, f.nspname::pg_catalog.text, p.proname::pg_catalog.text \
       FROM (SELECT c.contypid AS made, \
                    CASE WHEN d.refclassid OPERATOR(pg_catalog.=) \
                              'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid \
                         THEN d.refobjid ELSE o.oprcode::pg_catalog.oid END AS called \
               FROM pg_catalog.pg_constraint c \
               JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) \
                      'pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid \
                AND d.objid OPERATOR(pg_catalog.=) c.oid \
               LEFT JOIN pg_catalog.pg_operator o ON o.oid OPERATOR(pg_catalog.=) d.refobjid \
                AND d.refclassid OPERATOR(pg_catalog.=) \
                      'pg_catalog.pg_operator'::pg_catalog.regclass::pg_catalog.oid \
              WHERE c.contypid OPERATOR(pg_catalog.<>) 0::pg_catalog.oid \
              UNION ALL \
             SELECT k.casttarget, k.castfunc FROM pg_catalog.pg_cast k) AS calls \
       JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) calls.made \
       JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace \
       JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) calls.called \
       JOIN pg_catalog.pg_namespace f ON f.oid OPERATOR(pg_catalog.=) p.pronamespace \
      WHERE f.nspname OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.name \
         OR p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid",
];
