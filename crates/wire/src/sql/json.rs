//! The SQL/JSON expressions, and JSON_TABLE.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    JsonAggConstructor, JsonArgument, JsonArrayAgg, JsonArrayConstructor,
    JsonArrayQueryConstructor, JsonBehavior, JsonFuncExpr, JsonIsPredicate, JsonKeyValue,
    JsonObjectAgg, JsonObjectConstructor, JsonOutput, JsonParseExpr, JsonScalarExpr,
    JsonSerializeExpr, JsonTable, JsonTableColumn, JsonTablePathSpec, JsonValueExpr, Node,
};

use super::expr::raw;
use super::flow::Flow;
use super::names::apply;
use super::scope::{Column, Entry, Env, Items};
use super::walk::{Walked, Walker, kind, present, refuse};

impl Walker<'_> {
    /// A SQL/JSON expression: what it is made of.
    pub(super) fn json<'t>(&mut self, node: &'t NodeEnum, env: &Env<'t>) -> Walked<Flow> {
        match node {
            NodeEnum::JsonValueExpr(value) => self.json_value(value, env),
            NodeEnum::JsonParseExpr(expr) => {
                let JsonParseExpr {
                    expr,
                    output,
                    unique_keys: _,
                    location: _,
                } = &**expr;
                self.output(output.as_ref())?;
                self.json_value(present(expr.as_deref())?, env)
            }
            NodeEnum::JsonScalarExpr(expr) => {
                let JsonScalarExpr {
                    expr,
                    output,
                    location: _,
                } = &**expr;
                self.output(output.as_ref())?;
                self.maybe(expr.as_deref(), env)
            }
            NodeEnum::JsonSerializeExpr(expr) => {
                let JsonSerializeExpr {
                    expr,
                    output,
                    location: _,
                } = &**expr;
                self.output(output.as_ref())?;
                self.json_value(present(expr.as_deref())?, env)
            }
            NodeEnum::JsonObjectConstructor(expr) => {
                let JsonObjectConstructor {
                    exprs,
                    output,
                    absent_on_null: _,
                    unique: _,
                    location: _,
                } = expr;
                self.output(output.as_ref())?;
                let mut flow = Flow::default();
                for pair in exprs {
                    let NodeEnum::JsonKeyValue(pair) = kind(pair)? else {
                        return refuse("a JSON_OBJECT that is not known");
                    };
                    let pair = self.json_pair(pair, env)?;
                    self.join(&mut flow, &pair)?;
                }
                Ok(flow)
            }
            NodeEnum::JsonArrayConstructor(expr) => {
                let JsonArrayConstructor {
                    exprs,
                    output,
                    absent_on_null: _,
                    location: _,
                } = expr;
                self.output(output.as_ref())?;
                self.all(exprs, env)
            }
            NodeEnum::JsonArrayQueryConstructor(expr) => {
                let JsonArrayQueryConstructor {
                    query,
                    output,
                    format: _,
                    absent_on_null: _,
                    location: _,
                } = &**expr;
                self.output(output.as_ref())?;
                match kind(present(query.as_deref())?)? {
                    NodeEnum::SelectStmt(select) => Ok(self.select(select, env)?.whole()),
                    _ => refuse("a JSON_ARRAY that is not known"),
                }
            }
            NodeEnum::JsonObjectAgg(expr) => {
                let JsonObjectAgg {
                    constructor,
                    arg,
                    absent_on_null: _,
                    unique: _,
                } = &**expr;
                let mut flow = self.json_pair(present(arg.as_deref())?, env)?;
                let rest = self.json_aggregate(present(constructor.as_deref())?, env)?;
                self.join(&mut flow, &rest)?;
                Ok(flow)
            }
            NodeEnum::JsonArrayAgg(expr) => {
                let JsonArrayAgg {
                    constructor,
                    arg,
                    absent_on_null: _,
                } = &**expr;
                let mut flow = self.json_value(present(arg.as_deref())?, env)?;
                let rest = self.json_aggregate(present(constructor.as_deref())?, env)?;
                self.join(&mut flow, &rest)?;
                Ok(flow)
            }
            NodeEnum::JsonFuncExpr(expr) => {
                let JsonFuncExpr {
                    op: _,
                    column_name: _,
                    context_item,
                    pathspec,
                    passing,
                    output,
                    on_empty,
                    on_error,
                    wrapper: _,
                    quotes: _,
                    location: _,
                } = &**expr;
                self.output(output.as_ref())?;
                let mut flow = self.json_value(present(context_item.as_deref())?, env)?;
                let path = self.maybe(pathspec.as_deref(), env)?;
                self.join(&mut flow, &path)?;
                let passed = self.passed(passing, env)?;
                self.join(&mut flow, &passed)?;
                for behavior in [on_empty, on_error] {
                    let behavior = self.behavior(behavior.as_deref(), env)?;
                    self.join(&mut flow, &behavior)?;
                }
                Ok(flow)
            }
            NodeEnum::JsonIsPredicate(expr) => {
                let JsonIsPredicate {
                    expr,
                    format: _,
                    item_type: _,
                    unique_keys: _,
                    location: _,
                } = &**expr;
                self.maybe(expr.as_deref(), env)
            }
            _ => refuse("a JSON expression that is not known"),
        }
    }

    /// What RETURNING makes of a value.
    fn output(&mut self, output: Option<&JsonOutput>) -> Walked<()> {
        match output {
            Some(JsonOutput {
                type_name,
                returning: _,
            }) => self.makes(type_name.as_ref()),
            None => Ok(()),
        }
    }

    fn json_value<'t>(&mut self, value: &'t JsonValueExpr, env: &Env<'t>) -> Walked<Flow> {
        let JsonValueExpr {
            raw_expr,
            formatted_expr,
            format: _,
        } = value;
        raw(formatted_expr.is_none())?;
        self.maybe(raw_expr.as_deref(), env)
    }

    fn json_pair<'t>(&mut self, pair: &'t JsonKeyValue, env: &Env<'t>) -> Walked<Flow> {
        let JsonKeyValue { key, value } = pair;
        let mut flow = self.maybe(key.as_deref(), env)?;
        let value = self.json_value(present(value.as_deref())?, env)?;
        self.join(&mut flow, &value)?;
        Ok(flow)
    }

    fn json_aggregate<'t>(
        &mut self,
        aggregate: &'t JsonAggConstructor,
        env: &Env<'t>,
    ) -> Walked<Flow> {
        let JsonAggConstructor {
            output,
            agg_filter,
            agg_order,
            over,
            location: _,
        } = aggregate;
        self.output(output.as_ref())?;
        let mut flow = self.maybe(agg_filter.as_deref(), env)?;
        for item in agg_order {
            let order = self.sorted(item, env)?;
            self.join(&mut flow, &order)?;
        }
        // What is kept and in which order shows in the result.
        self.expose(&flow)?;
        if let Some(window) = over {
            self.window(window, env)?;
        }
        Ok(flow)
    }

    fn passed<'t>(&mut self, passing: &'t [Node], env: &Env<'t>) -> Walked<Flow> {
        let mut flow = Flow::default();
        for argument in passing {
            let NodeEnum::JsonArgument(argument) = kind(argument)? else {
                return refuse("a PASSING that is not known");
            };
            let JsonArgument { val, name: _ } = &**argument;
            let value = self.json_value(present(val.as_deref())?, env)?;
            self.join(&mut flow, &value)?;
        }
        Ok(flow)
    }

    fn behavior<'t>(&mut self, behavior: Option<&'t JsonBehavior>, env: &Env<'t>) -> Walked<Flow> {
        let Some(JsonBehavior {
            btype: _,
            expr,
            coerce: _,
            location: _,
        }) = behavior
        else {
            return Ok(Flow::default());
        };
        self.maybe(expr.as_deref(), env)
    }

    fn path<'t>(&mut self, path: Option<&'t JsonTablePathSpec>, env: &Env<'t>) -> Walked<Flow> {
        let Some(JsonTablePathSpec {
            string,
            name: _,
            name_location: _,
            location: _,
        }) = path
        else {
            return Ok(Flow::default());
        };
        self.maybe(string.as_deref(), env)
    }

    /// JSON_TABLE.
    pub(super) fn json_item<'t>(
        &mut self,
        table: &'t JsonTable,
        env: &Env<'t>,
        before: &Items,
    ) -> Walked<Items> {
        let JsonTable {
            context_item,
            pathspec,
            passing,
            columns,
            on_error,
            alias,
            lateral: _,
            location: _,
        } = table;
        let env = self.lateral(env, before)?;
        let mut flow = self.json_value(present(context_item.as_deref())?, &env)?;
        for part in [
            self.path(pathspec.as_deref(), &env)?,
            self.passed(passing, &env)?,
            self.behavior(on_error.as_deref(), &env)?,
        ] {
            self.join(&mut flow, &part)?;
        }
        // How many rows there are tells of the document.
        self.expose(&flow)?;
        let mut entry = Entry {
            name: Some("json_table".into()),
            ..Entry::default()
        };
        self.json_columns(columns, &flow, &mut entry.columns, &env)?;
        apply(&mut entry, alias.as_ref())?;
        Ok(Items::one(entry))
    }

    fn json_columns<'t>(
        &mut self,
        nodes: &'t [Node],
        document: &Flow,
        into: &mut Vec<Column>,
        env: &Env<'t>,
    ) -> Walked<()> {
        for node in nodes {
            let NodeEnum::JsonTableColumn(column) = kind(node)? else {
                return refuse("a column in JSON_TABLE that is not known");
            };
            let JsonTableColumn {
                coltype: _,
                name,
                type_name,
                pathspec,
                format: _,
                wrapper: _,
                quotes: _,
                columns,
                on_empty,
                on_error,
                location: _,
            } = &**column;
            self.makes(type_name.as_ref())?;
            let mut flow = document.clone();
            for part in [
                self.path(pathspec.as_deref(), env)?,
                self.behavior(on_empty.as_deref(), env)?,
                self.behavior(on_error.as_deref(), env)?,
            ] {
                self.join(&mut flow, &part)?;
            }
            if columns.is_empty() {
                into.push(Column {
                    name: (&**name).into(),
                    flow,
                    reads: Flow::default(),
                    type_oid: 0,
                });
            } else {
                // NESTED PATH has columns in its stead.
                self.deeper(|walker| walker.json_columns(columns, document, into, env))?;
            }
        }
        Ok(())
    }
}
