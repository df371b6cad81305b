//! Definitions: what is created, altered and dropped, and who may do what. All of it is admin, except
//! that dropping is destroying. Tables and functions are named as such, everything else as an object of
//! its kind. Expressions that run while the definition is made are walked; bodies that only run later,
//! when something else calls them, are not.

use bailiwick_action::{Action, Kind, Resource, Verb};
use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterTableCmd, AlterTableStmt, AlterTableType, ColumnDef, Constraint, CreateStmt, DropStmt,
    GrantStmt, GrantTargetType, ImportForeignSchemaType, IndexElem, IndexStmt, Node, ObjectType,
    ObjectWithArgs, PartitionBoundSpec, PartitionCmd, PartitionElem, PartitionRangeDatum,
    PartitionSpec, PublicationObjSpec, PublicationTable, RangeVar, RoleSpec, RoleSpecType,
    TableLikeClause, ViewStmt,
};

use super::names::Found;
use super::scope::{Entry, Env, Items};
use super::utility::dotted;
use super::walk::{Walked, Walker, kind, present, refuse, strings};

impl Walker<'_> {
    /// A statement that defines something: its verb.
    pub(super) fn define(&mut self, node: &NodeEnum) -> Walked<&'static str> {
        match node {
            NodeEnum::CreateStmt(create) => {
                self.create_table(create)?;
                Ok("CREATE TABLE")
            }
            NodeEnum::CreateForeignTableStmt(create) => {
                self.create_table(present(create.base_stmt.as_ref())?)?;
                self.object(Verb::Alter, "server", &create.servername);
                Ok("CREATE FOREIGN TABLE")
            }
            NodeEnum::AlterTableStmt(alter) => self.alter_table(alter),
            NodeEnum::IndexStmt(index) => self.create_index(index),
            NodeEnum::ViewStmt(view) => self.create_view(view),
            NodeEnum::DropStmt(drop) => self.drop(drop),
            NodeEnum::CreateSeqStmt(create) => {
                let name = self.created(present(create.sequence.as_ref())?)?;
                self.does(Verb::Create, &name);
                self.owned_by(&create.options)?;
                Ok("CREATE SEQUENCE")
            }
            NodeEnum::AlterSeqStmt(alter) => {
                self.does_to(Verb::Alter, present(alter.sequence.as_ref())?)?;
                self.owned_by(&alter.options)?;
                Ok("ALTER SEQUENCE")
            }
            NodeEnum::CreateSchemaStmt(create) => {
                if !create.schema_elts.is_empty() {
                    return refuse("CREATE SCHEMA with objects in it; create them one by one");
                }
                self.object(Verb::Create, "schema", &create.schemaname);
                self.role(create.authrole.as_ref());
                Ok("CREATE SCHEMA")
            }
            NodeEnum::CreateFunctionStmt(create) => {
                let verb = match create.is_procedure {
                    true => "CREATE PROCEDURE",
                    false => "CREATE FUNCTION",
                };
                let names = strings(&create.funcname)?;
                self.made_function(Verb::Create, &names)?;
                if create.replace {
                    self.made_function(Verb::Alter, &names)?;
                }
                Ok(verb)
            }
            NodeEnum::AlterFunctionStmt(alter) => {
                let function = present(alter.func.as_ref())?;
                self.made_function(Verb::Alter, &strings(&function.objname)?)?;
                Ok("ALTER FUNCTION")
            }
            NodeEnum::CreateTrigStmt(create) => {
                self.on_table(
                    "trigger",
                    &create.trigname,
                    create.relation.as_ref(),
                    Verb::Create,
                )?;
                self.function(&strings(&create.funcname)?)?;
                if let Some(other) = &create.constrrel {
                    self.does_to(Verb::Alter, other)?;
                }
                Ok("CREATE TRIGGER")
            }
            NodeEnum::RuleStmt(create) => {
                self.on_table(
                    "rule",
                    &create.rulename,
                    create.relation.as_ref(),
                    Verb::Create,
                )?;
                Ok("CREATE RULE")
            }
            NodeEnum::CreatePolicyStmt(create) => {
                self.on_table(
                    "policy",
                    &create.policy_name,
                    create.table.as_ref(),
                    Verb::Create,
                )?;
                Ok("CREATE POLICY")
            }
            NodeEnum::AlterPolicyStmt(alter) => {
                self.on_table(
                    "policy",
                    &alter.policy_name,
                    alter.table.as_ref(),
                    Verb::Alter,
                )?;
                Ok("ALTER POLICY")
            }
            NodeEnum::CompositeTypeStmt(create) => {
                let name = self.created(present(create.typevar.as_ref())?)?;
                self.object(
                    Verb::Create,
                    "type",
                    &format!("{}.{}", name.schema, name.name),
                );
                Ok("CREATE TYPE")
            }
            NodeEnum::CreateEnumStmt(create) => {
                self.named_object(Verb::Create, "type", &create.type_name)
            }
            NodeEnum::CreateRangeStmt(create) => {
                self.named_object(Verb::Create, "type", &create.type_name)
            }
            NodeEnum::CreateDomainStmt(create) => {
                create
                    .constraints
                    .iter()
                    .try_for_each(|constraint| self.domain_part(constraint))?;
                self.named_object(Verb::Create, "domain", &create.domainname)
            }
            NodeEnum::AlterEnumStmt(alter) => {
                self.named_object(Verb::Alter, "type", &alter.type_name)
            }
            NodeEnum::AlterTypeStmt(alter) => {
                self.named_object(Verb::Alter, "type", &alter.type_name)
            }
            NodeEnum::AlterDomainStmt(alter) => {
                // A constraint is tried on every value there is.
                alter
                    .def
                    .iter()
                    .try_for_each(|part| self.domain_part(part))?;
                self.named_object(Verb::Alter, "domain", &alter.type_name)
            }
            NodeEnum::DefineStmt(create) => {
                let what = word(create.kind)?;
                self.named_object(Verb::Create, what, &create.defnames)
            }
            NodeEnum::CreateStatsStmt(create) => {
                for relation in &create.relations {
                    match kind(relation)? {
                        NodeEnum::RangeVar(named) => self.does_to(Verb::Alter, named)?,
                        _ => return refuse("statistics on something that is not known"),
                    };
                }
                self.named_object(Verb::Create, "statistics", &create.defnames)
            }
            NodeEnum::AlterStatsStmt(alter) => {
                self.named_object(Verb::Alter, "statistics", &alter.defnames)
            }
            NodeEnum::CreateOpClassStmt(create) => {
                self.named_object(Verb::Create, "operator class", &create.opclassname)
            }
            NodeEnum::CreateOpFamilyStmt(create) => {
                self.named_object(Verb::Create, "operator family", &create.opfamilyname)
            }
            NodeEnum::AlterOpFamilyStmt(alter) => {
                self.named_object(Verb::Alter, "operator family", &alter.opfamilyname)
            }
            NodeEnum::AlterOperatorStmt(alter) => {
                let operator = present(alter.opername.as_ref())?;
                self.named_object(Verb::Alter, "operator", &operator.objname)
            }
            NodeEnum::AlterCollationStmt(alter) => {
                self.named_object(Verb::Alter, "collation", &alter.collname)
            }
            NodeEnum::CreateConversionStmt(create) => {
                self.named_object(Verb::Create, "conversion", &create.conversion_name)
            }
            NodeEnum::AlterTsdictionaryStmt(alter) => {
                self.named_object(Verb::Alter, "text search dictionary", &alter.dictname)
            }
            NodeEnum::AlterTsconfigurationStmt(alter) => {
                self.named_object(Verb::Alter, "text search configuration", &alter.cfgname)
            }
            NodeEnum::CreateCastStmt(_) => Ok(self.coarse(Verb::Create, "cast", "")),
            NodeEnum::CreateTransformStmt(_) => Ok(self.coarse(Verb::Create, "transform", "")),
            NodeEnum::CreateExtensionStmt(create) => {
                Ok(self.coarse(Verb::Create, "extension", &create.extname))
            }
            NodeEnum::AlterExtensionStmt(alter) => {
                Ok(self.coarse(Verb::Alter, "extension", &alter.extname))
            }
            NodeEnum::AlterExtensionContentsStmt(alter) => {
                Ok(self.coarse(Verb::Alter, "extension", &alter.extname))
            }
            NodeEnum::CreateFdwStmt(create) => {
                Ok(self.coarse(Verb::Create, "foreign data wrapper", &create.fdwname))
            }
            NodeEnum::AlterFdwStmt(alter) => {
                Ok(self.coarse(Verb::Alter, "foreign data wrapper", &alter.fdwname))
            }
            NodeEnum::CreateForeignServerStmt(create) => {
                Ok(self.coarse(Verb::Create, "server", &create.servername))
            }
            NodeEnum::AlterForeignServerStmt(alter) => {
                Ok(self.coarse(Verb::Alter, "server", &alter.servername))
            }
            NodeEnum::ImportForeignSchemaStmt(import) => {
                self.object(Verb::Create, "schema", &import.local_schema);
                if import.list_type == ImportForeignSchemaType::FdwImportSchemaLimitTo as i32 {
                    for table in &import.table_list {
                        let NodeEnum::RangeVar(table) = kind(table)? else {
                            return refuse("a table to import that is not known");
                        };
                        let made = Resource::table(&*import.local_schema, &*table.relname);
                        self.act(Action::new(Verb::Create, made));
                    }
                }
                Ok(self.coarse(Verb::Alter, "server", &import.server_name))
            }
            NodeEnum::CreateUserMappingStmt(create) => {
                self.role(create.user.as_ref());
                Ok(self.coarse(Verb::Alter, "server", &create.servername))
            }
            NodeEnum::AlterUserMappingStmt(alter) => {
                self.role(alter.user.as_ref());
                Ok(self.coarse(Verb::Alter, "server", &alter.servername))
            }
            NodeEnum::DropUserMappingStmt(drop) => {
                self.role(drop.user.as_ref());
                Ok(self.coarse(Verb::Alter, "server", &drop.servername))
            }
            NodeEnum::CreateTableSpaceStmt(create) => {
                self.object(Verb::Maintain, "server files", "");
                Ok(self.coarse(Verb::Create, "tablespace", &create.tablespacename))
            }
            NodeEnum::DropTableSpaceStmt(drop) => {
                Ok(self.coarse(Verb::Drop, "tablespace", &drop.tablespacename))
            }
            NodeEnum::AlterTableSpaceOptionsStmt(alter) => {
                Ok(self.coarse(Verb::Alter, "tablespace", &alter.tablespacename))
            }
            NodeEnum::AlterTableMoveAllStmt(alter) => {
                Ok(self.coarse(Verb::Alter, "tablespace", &alter.orig_tablespacename))
            }
            NodeEnum::CreateAmStmt(create) => {
                Ok(self.coarse(Verb::Create, "access method", &create.amname))
            }
            NodeEnum::CreatePlangStmt(create) => {
                Ok(self.coarse(Verb::Create, "language", &create.plname))
            }
            NodeEnum::CreateEventTrigStmt(create) => {
                Ok(self.coarse(Verb::Create, "event trigger", &create.trigname))
            }
            NodeEnum::AlterEventTrigStmt(alter) => {
                Ok(self.coarse(Verb::Alter, "event trigger", &alter.trigname))
            }
            // What they publish leaves the target by another way than this gateway.
            NodeEnum::CreatePublicationStmt(create) => {
                self.published(&create.pubobjects, create.for_all_tables)?;
                Ok(self.coarse(Verb::Create, "publication", &create.pubname))
            }
            NodeEnum::AlterPublicationStmt(alter) => {
                self.published(&alter.pubobjects, alter.for_all_tables)?;
                Ok(self.coarse(Verb::Alter, "publication", &alter.pubname))
            }
            NodeEnum::CreateSubscriptionStmt(create) => {
                Ok(self.coarse(Verb::Create, "subscription", &create.subname))
            }
            NodeEnum::AlterSubscriptionStmt(alter) => {
                Ok(self.coarse(Verb::Alter, "subscription", &alter.subname))
            }
            NodeEnum::DropSubscriptionStmt(drop) => {
                Ok(self.coarse(Verb::Drop, "subscription", &drop.subname))
            }
            NodeEnum::CreatedbStmt(create) => {
                Ok(self.coarse(Verb::Create, "database", &create.dbname))
            }
            NodeEnum::AlterDatabaseStmt(alter) => {
                Ok(self.coarse(Verb::Alter, "database", &alter.dbname))
            }
            NodeEnum::AlterDatabaseRefreshCollStmt(alter) => {
                Ok(self.coarse(Verb::Alter, "database", &alter.dbname))
            }
            NodeEnum::AlterDatabaseSetStmt(alter) => {
                Ok(self.coarse(Verb::Alter, "database", &alter.dbname))
            }
            NodeEnum::DropdbStmt(drop) => Ok(self.coarse(Verb::Drop, "database", &drop.dbname)),
            NodeEnum::RenameStmt(rename) => {
                if let Some(named) = &rename.relation {
                    let new = self.renamed_relation(named, &rename.newname, rename.rename_type)?;
                    if let Some((schema, name)) = new {
                        self.act(Action::new(Verb::Create, Resource::table(schema, name)));
                    }
                } else {
                    self.altered(rename.rename_type, rename.object.as_deref())?;
                }
                Ok("ALTER")
            }
            NodeEnum::AlterObjectSchemaStmt(alter) => {
                match &alter.relation {
                    Some(named) => {
                        self.does_to(Verb::Alter, named)?;
                        let (_, name) = self.named(named)?;
                        self.act(Action::new(
                            Verb::Create,
                            Resource::table(&*alter.newschema, name),
                        ));
                    }
                    None => {
                        self.altered(alter.object_type, alter.object.as_deref())?;
                        self.object(Verb::Alter, "schema", &alter.newschema);
                    }
                }
                Ok("ALTER")
            }
            NodeEnum::AlterObjectDependsStmt(alter) => {
                match &alter.relation {
                    Some(named) => drop(self.does_to(Verb::Alter, named)?),
                    None => self.altered(alter.object_type, alter.object.as_deref())?,
                }
                Ok("ALTER")
            }
            NodeEnum::AlterOwnerStmt(alter) => {
                match &alter.relation {
                    Some(named) => drop(self.does_to(Verb::Alter, named)?),
                    None => self.altered(alter.object_type, alter.object.as_deref())?,
                }
                self.role(alter.newowner.as_ref());
                Ok("ALTER")
            }
            NodeEnum::CommentStmt(comment) => {
                self.altered(comment.objtype, comment.object.as_deref())?;
                Ok("COMMENT")
            }
            NodeEnum::SecLabelStmt(label) => {
                self.altered(label.objtype, label.object.as_deref())?;
                self.object(Verb::Maintain, "security label", &label.provider);
                Ok("SECURITY LABEL")
            }
            NodeEnum::CreateRoleStmt(create) => {
                self.role_named(&create.role);
                Ok("CREATE ROLE")
            }
            NodeEnum::AlterRoleStmt(alter) => {
                self.role(alter.role.as_ref());
                self.roles_of(&alter.options)?;
                Ok("ALTER ROLE")
            }
            NodeEnum::AlterRoleSetStmt(alter) => {
                match &alter.role {
                    Some(role) => self.role(Some(role)),
                    None => self.role_named("all"),
                }
                Ok("ALTER ROLE")
            }
            NodeEnum::DropRoleStmt(drop) => {
                for role in &drop.roles {
                    let name = role_name(role)?;
                    self.act(Action::new(Verb::Drop, Resource::named(Kind::Role, name)));
                    self.role_named(name);
                }
                Ok("DROP ROLE")
            }
            NodeEnum::DropOwnedStmt(drop) => {
                self.restricted(drop.behavior)?;
                for role in &drop.roles {
                    let name = role_name(role)?;
                    self.act(Action::new(Verb::Drop, Resource::named(Kind::Role, name)));
                    self.role_named(name);
                }
                Ok("DROP OWNED")
            }
            NodeEnum::ReassignOwnedStmt(reassign) => {
                for role in &reassign.roles {
                    self.role_named(role_name(role)?);
                }
                self.role(reassign.newrole.as_ref());
                Ok("REASSIGN OWNED")
            }
            NodeEnum::GrantStmt(grant) => self.grant(grant),
            NodeEnum::GrantRoleStmt(grant) => {
                for role in &grant.granted_roles {
                    match kind(role)? {
                        NodeEnum::AccessPriv(role) => self.role_named(&role.priv_name),
                        _ => return refuse("a role that is not known"),
                    }
                }
                for role in &grant.grantee_roles {
                    self.role_named(role_name(role)?);
                }
                Ok(if grant.is_grant { "GRANT" } else { "REVOKE" })
            }
            NodeEnum::AlterDefaultPrivilegesStmt(alter) => {
                self.object(Verb::Grant, "default privileges", "");
                self.grant(present(alter.action.as_ref())?)?;
                Ok("ALTER DEFAULT PRIVILEGES")
            }
            _ => refuse("a statement of a kind that is not known"),
        }
    }

    /// A statement that needs no closer look.
    fn coarse(&mut self, verb: Verb, what: &str, name: &str) -> &'static str {
        self.object(verb, what, name);
        match verb {
            Verb::Create => "CREATE",
            Verb::Drop => "DROP",
            _ => "ALTER",
        }
    }

    fn named_object(&mut self, verb: Verb, what: &str, name: &[Node]) -> Walked<&'static str> {
        let name = match strings(name)?.as_slice() {
            [name] if verb == Verb::Create => dotted(self.catalogue.creation_schema(), name),
            names => names.join("."),
        };
        Ok(self.coarse(verb, what, &name))
    }

    /// A trigger, rule or policy, which changes what its table does.
    fn on_table(
        &mut self,
        what: &str,
        name: &str,
        table: Option<&RangeVar>,
        verb: Verb,
    ) -> Walked<()> {
        let found = self.does_to(Verb::Alter, present(table)?)?;
        let table = found.name();
        let name = format!("{name} on {}.{}", table.schema, table.name);
        self.object(verb, what, &name);
        Ok(())
    }

    /// A function that is made, changed or dropped.
    fn made_function(&mut self, verb: Verb, names: &[&str]) -> Walked<()> {
        let (schema, name) = match names {
            [name] if verb == Verb::Create => (
                self.catalogue
                    .creation_schema()
                    .unwrap_or_default()
                    .to_owned(),
                *name,
            ),
            [name] => {
                let mut found = self.catalogue.visible_functions(name);
                match (found.next(), found.next()) {
                    (Some((schema, _)), None) => (schema.to_owned(), *name),
                    _ => (String::new(), *name),
                }
            }
            [schema, name] => ((*schema).to_owned(), *name),
            _ => return refuse("a function with too many names before it"),
        };
        self.act(Action::new(verb, Resource::function(schema, name)));
        Ok(())
    }

    /// A constraint or default of a domain, which can name nothing but `VALUE`.
    fn domain_part(&mut self, part: &Node) -> Walked<()> {
        let env = Env::default().within(Items::one(Entry {
            open: Some(super::flow::Flow::default()),
            ..Entry::default()
        }));
        match kind(part)? {
            NodeEnum::Constraint(constraint) => self.constraint(constraint, &env),
            NodeEnum::CollateClause(_) => Ok(()),
            _ => self.condition(Some(part), &env),
        }
    }

    /// What a publication hands to whoever subscribes: all of it is read, and shows.
    fn published(&mut self, objects: &[Node], all: bool) -> Walked<()> {
        if all {
            self.object(Verb::Alter, "database", self.catalogue.database());
        }
        for object in objects {
            let NodeEnum::PublicationObjSpec(object) = kind(object)? else {
                return refuse("a publication of something that is not known");
            };
            let PublicationObjSpec {
                pubobjtype: _,
                name,
                pubtable,
                location: _,
            } = &**object;
            let Some(table) = pubtable else {
                let schema = match name.is_empty() {
                    true => self.catalogue.creation_schema().unwrap_or_default(),
                    false => name,
                };
                self.object(Verb::Alter, "schema", schema);
                continue;
            };
            let PublicationTable {
                relation,
                where_clause,
                columns,
            } = &**table;
            let found = self.does_to(Verb::Alter, present(relation.as_ref())?)?;
            self.selects(found.name());
            let env = self.table_env(&found)?;
            self.condition(where_clause.as_deref(), &env)?;
            let listed = strings(columns)?;
            let columns: Vec<_> = match &found {
                Found::Known(_, columns) => columns.to_vec(),
                Found::Unknown(_) => Vec::new(),
            };
            for column in &columns {
                if listed.is_empty() || listed.contains(&&*column.name) {
                    let flow = self.reads(column)?;
                    self.expose(&flow)?;
                }
            }
        }
        Ok(())
    }

    fn create_table(&mut self, create: &CreateStmt) -> Walked<()> {
        let CreateStmt {
            relation,
            table_elts,
            inh_relations,
            partbound,
            partspec,
            of_typename: _,
            constraints,
            nnconstraints,
            options: _,
            oncommit: _,
            tablespacename: _,
            access_method: _,
            if_not_exists: _,
        } = create;
        let name = self.created(present(relation.as_ref())?)?;
        self.does(Verb::Create, &name);
        // It has no rows yet; its expressions can only name its own columns.
        let env = Env::default().within(Items::one(Entry {
            name: Some(name.name.clone()),
            open: Some(super::flow::Flow::default()),
            ..Entry::default()
        }));
        for parent in inh_relations {
            match kind(parent)? {
                // Its rows become the parent's.
                NodeEnum::RangeVar(named) => self.does_to(Verb::Alter, named)?,
                _ => return refuse("a parent table that is not known"),
            };
        }
        for element in table_elts.iter().chain(constraints).chain(nnconstraints) {
            self.table_element(element, &env)?;
        }
        if let Some(bound) = partbound {
            self.bound(bound, &env)?;
        }
        if let Some(PartitionSpec {
            strategy: _,
            part_params,
            location: _,
        }) = partspec
        {
            for part in part_params {
                let NodeEnum::PartitionElem(part) = kind(part)? else {
                    return refuse("a partitioning that is not known");
                };
                let PartitionElem {
                    name: _,
                    expr,
                    collation: _,
                    opclass: _,
                    location: _,
                } = &**part;
                self.condition(expr.as_deref(), &env)?;
            }
        }
        Ok(())
    }

    /// A column, constraint or LIKE of a table.
    fn table_element<'t>(&mut self, element: &'t Node, env: &Env<'t>) -> Walked<()> {
        match kind(element)? {
            NodeEnum::ColumnDef(column) => self.column_definition(column, env),
            NodeEnum::Constraint(constraint) => self.constraint(constraint, env),
            NodeEnum::TableLikeClause(TableLikeClause {
                relation,
                options: _,
                relation_oid: _,
            }) => {
                let found = self.relation(present(relation.as_ref())?)?;
                self.selects(found.name());
                Ok(())
            }
            _ => refuse("a part of a table that is not known"),
        }
    }

    fn column_definition<'t>(&mut self, column: &'t ColumnDef, env: &Env<'t>) -> Walked<()> {
        let ColumnDef {
            colname: _,
            type_name,
            compression: _,
            inhcount: _,
            is_local: _,
            is_not_null: _,
            is_from_type: _,
            storage: _,
            storage_name: _,
            raw_default,
            cooked_default,
            identity: _,
            identity_sequence: _,
            generated: _,
            coll_clause: _,
            coll_oid: _,
            constraints,
            fdwoptions: _,
            location: _,
        } = column;
        if cooked_default.is_some() {
            return refuse("a column that is not known");
        }
        self.makes(type_name.as_ref())?;
        self.condition(raw_default.as_deref(), env)?;
        for constraint in constraints {
            match kind(constraint)? {
                NodeEnum::Constraint(constraint) => self.constraint(constraint, env)?,
                NodeEnum::CollateClause(_) => {}
                _ => return refuse("a constraint that is not known"),
            }
        }
        Ok(())
    }

    fn constraint<'t>(&mut self, constraint: &'t Constraint, env: &Env<'t>) -> Walked<()> {
        let Constraint {
            contype: _,
            conname: _,
            deferrable: _,
            initdeferred: _,
            is_enforced: _,
            skip_validation: _,
            initially_valid: _,
            is_no_inherit: _,
            raw_expr,
            cooked_expr,
            generated_when: _,
            generated_kind: _,
            nulls_not_distinct: _,
            keys: _,
            without_overlaps: _,
            including: _,
            exclusions,
            options,
            indexname: _,
            indexspace: _,
            reset_default_tblspc: _,
            access_method: _,
            where_clause,
            pktable,
            fk_attrs: _,
            pk_attrs,
            fk_with_period: _,
            pk_with_period: _,
            fk_matchtype: _,
            fk_upd_action: _,
            fk_del_action: _,
            fk_del_set_cols: _,
            old_conpfeqop,
            old_pktable_oid: _,
            location: _,
        } = constraint;
        if !cooked_expr.is_empty() || !old_conpfeqop.is_empty() {
            return refuse("a constraint that is not known");
        }
        self.condition(raw_expr.as_deref(), env)?;
        self.condition(where_clause.as_deref(), env)?;
        self.owned_by(options)?;
        for exclusion in exclusions {
            let NodeEnum::List(pair) = kind(exclusion)? else {
                return refuse("an exclusion constraint that is not known");
            };
            for part in &pair.items {
                match kind(part)? {
                    NodeEnum::IndexElem(element) => self.indexed(element, env)?,
                    NodeEnum::List(operator) => self.operator(&operator.items)?,
                    _ => return refuse("an exclusion constraint that is not known"),
                }
            }
        }
        if let Some(named) = pktable {
            // Whether a row can be inserted tells which keys there are.
            let found = self.does_to(Verb::Alter, named)?;
            for column in strings(pk_attrs)? {
                let flow = self.reads_named(found.name(), column)?;
                self.expose(&flow)?;
            }
        }
        Ok(())
    }

    fn indexed<'t>(&mut self, element: &'t IndexElem, env: &Env<'t>) -> Walked<()> {
        self.condition(element.expr.as_deref(), env)
    }

    fn bound<'t>(&mut self, bound: &'t PartitionBoundSpec, env: &Env<'t>) -> Walked<()> {
        let PartitionBoundSpec {
            strategy: _,
            is_default: _,
            modulus: _,
            remainder: _,
            listdatums,
            lowerdatums,
            upperdatums,
            location: _,
        } = bound;
        for datum in listdatums.iter().chain(lowerdatums).chain(upperdatums) {
            match kind(datum)? {
                NodeEnum::PartitionRangeDatum(datum) => {
                    let PartitionRangeDatum {
                        kind: _,
                        value,
                        location: _,
                    } = &**datum;
                    self.condition(value.as_deref(), env)?;
                }
                // MINVALUE and MAXVALUE are column references to the parser.
                NodeEnum::ColumnRef(_) => {}
                _ => {
                    let flow = self.expr(datum, env)?;
                    self.expose(&flow)?;
                }
            }
        }
        Ok(())
    }

    /// `OWNED BY table.column` among the options of a sequence.
    fn owned_by(&mut self, options: &[Node]) -> Walked<()> {
        for option in options {
            let (name, value) = super::utility::definition(option)?;
            if name != "owned_by" {
                continue;
            }
            let Some(NodeEnum::List(owner)) = value.and_then(|value| value.node.as_ref()) else {
                return refuse("an OWNED BY that is not known");
            };
            let names = strings(&owner.items)?;
            if let [table @ .., _] = names.as_slice()
                && !table.is_empty()
            {
                self.table_by_names(Verb::Alter, table)?;
            }
        }
        Ok(())
    }

    /// The expressions of a statement about a table see its columns, and show them.
    fn table_env<'t>(&mut self, found: &Found) -> Walked<Env<'t>> {
        let entry = self.entry(found, None)?;
        Ok(Env::default().within(Items::one(entry)))
    }

    fn alter_table(&mut self, alter: &AlterTableStmt) -> Walked<&'static str> {
        let AlterTableStmt {
            relation,
            cmds,
            objtype,
            missing_ok: _,
        } = alter;
        let named = present(relation.as_ref())?;
        let index = matches!(ObjectType::try_from(*objtype), Ok(ObjectType::ObjectIndex));
        if index {
            let (schema, name) = self.named(named)?;
            self.object(Verb::Alter, "index", &dotted(schema, name));
        } else if matches!(ObjectType::try_from(*objtype), Ok(ObjectType::ObjectType)) {
            let (schema, name) = self.named(named)?;
            self.object(Verb::Alter, "type", &dotted(schema, name));
        } else {
            self.does_to(Verb::Alter, named)?;
        }
        let found = self.relation(named)?;
        let env = self.table_env(&found)?;
        for command in cmds {
            let NodeEnum::AlterTableCmd(command) = kind(command)? else {
                return refuse("an ALTER TABLE that is not known");
            };
            let AlterTableCmd {
                subtype,
                name: _,
                num: _,
                newowner,
                def,
                behavior,
                missing_ok: _,
                recurse: _,
            } = &**command;
            self.restricted(*behavior)?;
            if matches!(
                AlterTableType::try_from(*subtype),
                Ok(AlterTableType::AtDropColumn)
            ) {
                self.does(Verb::Drop, found.name());
            }
            self.role(newowner.as_ref());
            let Some(definition) = def else { continue };
            match kind(definition)? {
                NodeEnum::ColumnDef(column) => self.column_definition(column, &env)?,
                NodeEnum::Constraint(constraint) => self.constraint(constraint, &env)?,
                NodeEnum::PartitionCmd(PartitionCmd {
                    name,
                    bound,
                    concurrent: _,
                }) => {
                    if let Some(name) = name {
                        self.does_to(Verb::Alter, name)?;
                    }
                    if let Some(bound) = bound {
                        self.bound(bound, &env)?;
                    }
                }
                NodeEnum::RangeVar(other) => drop(self.does_to(Verb::Alter, other)?),
                NodeEnum::TypeName(_)
                | NodeEnum::ReplicaIdentityStmt(_)
                | NodeEnum::AtalterConstraint(_)
                | NodeEnum::String(_)
                | NodeEnum::Integer(_)
                | NodeEnum::Float(_) => {}
                NodeEnum::List(list) => {
                    for item in &list.items {
                        if !matches!(kind(item)?, NodeEnum::DefElem(_)) {
                            return refuse("an ALTER TABLE that is not known");
                        }
                    }
                }
                // A default, or the expression of a generated column.
                _ => {
                    let flow = self.expr(definition, &env)?;
                    self.expose(&flow)?;
                }
            }
        }
        Ok("ALTER TABLE")
    }

    fn create_index(&mut self, index: &IndexStmt) -> Walked<&'static str> {
        let IndexStmt {
            idxname,
            relation,
            access_method: _,
            table_space: _,
            index_params,
            index_including_params: _,
            options: _,
            where_clause,
            exclude_op_names,
            idxcomment: _,
            index_oid: _,
            old_number: _,
            old_create_subid: _,
            old_first_relfilelocator_subid: _,
            unique: _,
            nulls_not_distinct: _,
            primary: _,
            isconstraint: _,
            iswithoutoverlaps: _,
            deferrable: _,
            initdeferred: _,
            transformed: _,
            concurrent: _,
            if_not_exists: _,
            reset_default_tblspc: _,
        } = index;
        let found = self.does_to(Verb::Alter, present(relation.as_ref())?)?;
        let schema = found.name().schema.to_string();
        self.object(Verb::Create, "index", &dotted(Some(&schema), idxname));
        if !exclude_op_names.is_empty() {
            return refuse("an index that is not known");
        }
        let env = self.table_env(&found)?;
        for element in index_params {
            match kind(element)? {
                NodeEnum::IndexElem(element) => self.indexed(element, &env)?,
                _ => return refuse("an index that is not known"),
            }
        }
        self.condition(where_clause.as_deref(), &env)?;
        Ok("CREATE INDEX")
    }

    fn create_view(&mut self, create: &ViewStmt) -> Walked<&'static str> {
        let ViewStmt {
            view,
            aliases: _,
            query,
            replace,
            options: _,
            with_check_option: _,
        } = create;
        let name = self.created(present(view.as_ref())?)?;
        self.does(Verb::Create, &name);
        if *replace {
            self.does(Verb::Alter, &name);
        }
        let NodeEnum::SelectStmt(select) = kind(present(query.as_deref())?)? else {
            return refuse("a view of something else than a query");
        };
        let derived = self.select(select, &Env::default())?;
        self.expose(&derived.whole())?;
        Ok("CREATE VIEW")
    }

    fn drop(&mut self, drop: &DropStmt) -> Walked<&'static str> {
        let DropStmt {
            objects,
            remove_type,
            behavior,
            missing_ok: _,
            concurrent: _,
        } = drop;
        self.restricted(*behavior)?;
        for object in objects {
            self.named_as(Verb::Drop, *remove_type, object)?;
        }
        Ok(match ObjectType::try_from(*remove_type) {
            Ok(ObjectType::ObjectTable) => "DROP TABLE",
            Ok(ObjectType::ObjectView) => "DROP VIEW",
            Ok(ObjectType::ObjectMatview) => "DROP MATERIALIZED VIEW",
            Ok(ObjectType::ObjectForeignTable) => "DROP FOREIGN TABLE",
            Ok(ObjectType::ObjectSequence) => "DROP SEQUENCE",
            Ok(ObjectType::ObjectIndex) => "DROP INDEX",
            Ok(ObjectType::ObjectSchema) => "DROP SCHEMA",
            Ok(ObjectType::ObjectType) => "DROP TYPE",
            Ok(ObjectType::ObjectFunction) => "DROP FUNCTION",
            Ok(ObjectType::ObjectProcedure) => "DROP PROCEDURE",
            Ok(ObjectType::ObjectTrigger) => "DROP TRIGGER",
            Ok(ObjectType::ObjectExtension) => "DROP EXTENSION",
            _ => "DROP",
        })
    }

    fn altered(&mut self, object_type: i32, object: Option<&Node>) -> Walked<()> {
        self.named_as(Verb::Alter, object_type, present(object)?)
    }

    /// Takes down a verb on an object that is named by a list of names.
    fn named_as(&mut self, verb: Verb, object_type: i32, object: &Node) -> Walked<()> {
        let what = word(object_type)?;
        match ObjectType::try_from(object_type) {
            Ok(
                ObjectType::ObjectTable
                | ObjectType::ObjectView
                | ObjectType::ObjectMatview
                | ObjectType::ObjectForeignTable
                | ObjectType::ObjectSequence,
            ) => {
                let names = object_names(object)?;
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                self.table_by_names(verb, &names)
            }
            // These belong to a table, whose name comes first.
            Ok(
                ObjectType::ObjectColumn
                | ObjectType::ObjectTrigger
                | ObjectType::ObjectRule
                | ObjectType::ObjectPolicy
                | ObjectType::ObjectTabconstraint,
            ) => {
                let names = object_names(object)?;
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                let Some((name, table)) = names.split_last() else {
                    return refuse("an object without a name");
                };
                self.table_by_names(Verb::Alter, table)?;
                self.object(verb, what, &format!("{name} on {}", table.join(".")));
                Ok(())
            }
            Ok(
                ObjectType::ObjectFunction
                | ObjectType::ObjectProcedure
                | ObjectType::ObjectRoutine
                | ObjectType::ObjectAggregate,
            ) => {
                let names = object_names(object)?;
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                self.made_function(verb, &names)
            }
            Ok(ObjectType::ObjectRole) => {
                let names = object_names(object)?;
                self.role_named(&names.join("."));
                Ok(())
            }
            _ => {
                let names = object_names(object)?;
                self.object(verb, what, &names.join("."));
                Ok(())
            }
        }
    }

    /// Takes down a verb on a relation that is named by a list of names.
    fn table_by_names(&mut self, verb: Verb, names: &[&str]) -> Walked<()> {
        let (database, schema, name) = match names {
            [name] => ("", "", *name),
            [schema, name] => ("", *schema, *name),
            [database, schema, name] => (*database, *schema, *name),
            _ => return refuse("a table with too many names before it"),
        };
        let named = RangeVar {
            catalogname: database.to_owned(),
            schemaname: schema.to_owned(),
            relname: name.to_owned(),
            inh: true,
            relpersistence: String::new(),
            alias: None,
            location: 0,
        };
        self.does_to(verb, &named).map(drop)
    }

    /// The schema and name that a relation is renamed to, if it is the relation that is renamed.
    fn renamed_relation(
        &mut self,
        named: &RangeVar,
        new: &str,
        object_type: i32,
    ) -> Walked<Option<(String, String)>> {
        let whole = match ObjectType::try_from(object_type) {
            Ok(ObjectType::ObjectIndex) => {
                let (schema, name) = self.named(named)?;
                self.object(Verb::Alter, "index", &dotted(schema, name));
                return Ok(None);
            }
            Ok(
                ObjectType::ObjectTable
                | ObjectType::ObjectView
                | ObjectType::ObjectMatview
                | ObjectType::ObjectForeignTable
                | ObjectType::ObjectSequence,
            ) => true,
            _ => false,
        };
        let found = self.does_to(Verb::Alter, named)?;
        Ok(whole.then(|| (found.name().schema.to_string(), new.to_owned())))
    }

    fn grant(&mut self, grant: &GrantStmt) -> Walked<&'static str> {
        let GrantStmt {
            is_grant,
            targtype,
            objtype,
            objects,
            privileges: _,
            grantees,
            grant_option: _,
            grantor,
            // To revoke what a role has passed on is still about the objects that are named.
            behavior: _,
        } = grant;
        let what = word(*objtype)?;
        match GrantTargetType::try_from(*targtype) {
            Ok(GrantTargetType::AclTargetObject) => {
                for object in objects {
                    match kind(object)? {
                        NodeEnum::RangeVar(named) => drop(self.does_to(Verb::Grant, named)?),
                        NodeEnum::ObjectWithArgs(function) => {
                            self.made_function(Verb::Grant, &strings(&function.objname)?)?;
                        }
                        _ => {
                            let names = object_names(object)?;
                            self.object(Verb::Grant, what, &names.join("."));
                        }
                    }
                }
            }
            Ok(GrantTargetType::AclTargetAllInSchema) => {
                for object in objects {
                    let names = object_names(object)?;
                    self.object(Verb::Grant, "schema", &names.join("."));
                }
            }
            Ok(GrantTargetType::AclTargetDefaults) => {}
            _ => return refuse("a GRANT that is not known"),
        }
        for role in grantees {
            self.role_named(role_name(role)?);
        }
        self.role(grantor.as_ref());
        Ok(if *is_grant { "GRANT" } else { "REVOKE" })
    }

    fn role(&mut self, role: Option<&RoleSpec>) {
        if let Some(role) = role {
            self.role_named(spec_name(role));
        }
    }

    fn role_named(&mut self, name: &str) {
        self.act(Action::new(Verb::Grant, Resource::named(Kind::Role, name)));
    }

    /// Roles among the options of another: its members.
    fn roles_of(&mut self, options: &[Node]) -> Walked<()> {
        for option in options {
            let (_, value) = super::utility::definition(option)?;
            if let Some(NodeEnum::List(list)) = value.and_then(|value| value.node.as_ref()) {
                for role in &list.items {
                    self.role_named(role_name(role)?);
                }
            }
        }
        Ok(())
    }
}

fn role_name(role: &Node) -> Walked<&str> {
    match kind(role)? {
        NodeEnum::RoleSpec(role) => Ok(spec_name(role)),
        _ => refuse("a role that is not known"),
    }
}

fn spec_name(role: &RoleSpec) -> &str {
    let RoleSpec {
        roletype,
        rolename,
        location: _,
    } = role;
    match RoleSpecType::try_from(*roletype) {
        Ok(RoleSpecType::RolespecCurrentRole | RoleSpecType::RolespecCurrentUser) => "current_user",
        Ok(RoleSpecType::RolespecSessionUser) => "session_user",
        Ok(RoleSpecType::RolespecPublic) => "public",
        _ => rolename,
    }
}

/// The names that an object goes by.
fn object_names(object: &Node) -> Walked<Vec<String>> {
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
    match kind(object)? {
        NodeEnum::String(name) => Ok(vec![name.sval.clone()]),
        NodeEnum::Integer(number) => Ok(vec![number.ival.to_string()]),
        NodeEnum::Float(number) => Ok(vec![number.fval.clone()]),
        NodeEnum::TypeName(name) => strings(&name.names).map(owned),
        NodeEnum::ObjectWithArgs(ObjectWithArgs { objname, .. }) => strings(objname).map(owned),
        NodeEnum::RangeVar(named) => Ok([&named.catalogname, &named.schemaname, &named.relname]
            .into_iter()
            .filter(|name| !name.is_empty())
            .cloned()
            .collect()),
        NodeEnum::List(list) => {
            let mut names = Vec::new();
            for item in &list.items {
                match kind(item)? {
                    NodeEnum::String(name) => names.push(name.sval.clone()),
                    NodeEnum::TypeName(name) => names.push(strings(&name.names)?.join(".")),
                    _ => return refuse("an object whose name is not known"),
                }
            }
            Ok(names)
        }
        _ => refuse("an object whose name is not known"),
    }
}

/// What an object of a type is called in words.
fn word(object_type: i32) -> Walked<&'static str> {
    Ok(match ObjectType::try_from(object_type) {
        Ok(ObjectType::ObjectAccessMethod) => "access method",
        Ok(ObjectType::ObjectAggregate) => "aggregate",
        Ok(ObjectType::ObjectAttribute) => "attribute",
        Ok(ObjectType::ObjectCast) => "cast",
        Ok(ObjectType::ObjectCollation) => "collation",
        Ok(ObjectType::ObjectColumn) => "column",
        Ok(ObjectType::ObjectConversion) => "conversion",
        Ok(ObjectType::ObjectDatabase) => "database",
        Ok(ObjectType::ObjectDomain) => "domain",
        Ok(ObjectType::ObjectDomconstraint) => "domain constraint",
        Ok(ObjectType::ObjectEventTrigger) => "event trigger",
        Ok(ObjectType::ObjectExtension) => "extension",
        Ok(ObjectType::ObjectFdw) => "foreign data wrapper",
        Ok(ObjectType::ObjectForeignServer) => "server",
        Ok(ObjectType::ObjectForeignTable) => "foreign table",
        Ok(ObjectType::ObjectFunction) => "function",
        Ok(ObjectType::ObjectIndex) => "index",
        Ok(ObjectType::ObjectLanguage) => "language",
        Ok(ObjectType::ObjectLargeobject) => "large object",
        Ok(ObjectType::ObjectMatview) => "materialized view",
        Ok(ObjectType::ObjectOpclass) => "operator class",
        Ok(ObjectType::ObjectOperator) => "operator",
        Ok(ObjectType::ObjectOpfamily) => "operator family",
        Ok(ObjectType::ObjectParameterAcl) => "parameter",
        Ok(ObjectType::ObjectPolicy) => "policy",
        Ok(ObjectType::ObjectProcedure) => "procedure",
        Ok(ObjectType::ObjectPublication) => "publication",
        Ok(ObjectType::ObjectRole) => "role",
        Ok(ObjectType::ObjectRoutine) => "routine",
        Ok(ObjectType::ObjectRule) => "rule",
        Ok(ObjectType::ObjectSchema) => "schema",
        Ok(ObjectType::ObjectSequence) => "sequence",
        Ok(ObjectType::ObjectSubscription) => "subscription",
        Ok(ObjectType::ObjectStatisticExt) => "statistics",
        Ok(ObjectType::ObjectTabconstraint) => "constraint",
        Ok(ObjectType::ObjectTable) => "table",
        Ok(ObjectType::ObjectTablespace) => "tablespace",
        Ok(ObjectType::ObjectTransform) => "transform",
        Ok(ObjectType::ObjectTrigger) => "trigger",
        Ok(ObjectType::ObjectTsconfiguration) => "text search configuration",
        Ok(ObjectType::ObjectTsdictionary) => "text search dictionary",
        Ok(ObjectType::ObjectTsparser) => "text search parser",
        Ok(ObjectType::ObjectTstemplate) => "text search template",
        Ok(ObjectType::ObjectType) => "type",
        Ok(ObjectType::ObjectUserMapping) => "user mapping",
        Ok(ObjectType::ObjectView) => "view",
        _ => return refuse("an object of a kind that is not known"),
    })
}
