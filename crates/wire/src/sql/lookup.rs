//! Lookups: the one use of a column in a condition that tells no more than whoever asks knows or guesses.
//! `WHERE email = $1`, and nothing but AND around it. Whatever is not plainly that counts as shown.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AExpr, AExprKind, BoolExpr, BoolExprType, ColumnRef, Node, TypeCast, TypeName,
};

use super::names::Qualifier;
use super::scope::{Column, Env};
use super::walk::{Walked, Walker, kind, strings};

/// The types that a value may be cast to: what compares equal in these is equal. They are the system's
/// own, whose names nothing else can have as long as no search path is set.
const TYPES: [&str; 15] = [
    "bool",
    "bpchar",
    "bytea",
    "date",
    "inet",
    "int2",
    "int4",
    "int8",
    "numeric",
    "text",
    "time",
    "timestamp",
    "timestamptz",
    "uuid",
    "varchar",
];

impl Walker<'_> {
    /// WHERE: what is looked up there, and what else shows.
    pub(super) fn search<'t>(&mut self, condition: Option<&'t Node>, env: &Env<'t>) -> Walked<()> {
        let Some(condition) = condition else {
            return Ok(());
        };
        match kind(condition)? {
            NodeEnum::BoolExpr(expr) if expr.boolop == BoolExprType::AndExpr as i32 => {
                let BoolExpr {
                    xpr,
                    boolop: _,
                    args,
                    location: _,
                } = &**expr;
                super::expr::raw(xpr.is_none())?;
                self.deeper(|walker| {
                    args.iter()
                        .try_for_each(|arg| walker.search(Some(arg), env))
                })
            }
            NodeEnum::AExpr(expr) if self.is_lookup(expr, env)? => {
                let flow = self.expr(condition, env)?;
                self.looks_up(&flow)
            }
            _ => self.condition(Some(condition), env),
        }
    }

    /// Whether it is a column of a table compared for equality with a value of the statement's own.
    fn is_lookup(&mut self, expr: &AExpr, env: &Env<'_>) -> Walked<bool> {
        let equality = expr.kind == AExprKind::AexprOp as i32
            && match strings(&expr.name)?.as_slice() {
                ["="] => self.catalogue.visible_operators("=").all(|(_, operator)| {
                    // Those of extensions are for types of their own.
                    operator.installed && operator.volatility == super::Volatility::Immutable
                }),
                ["pg_catalog", "="] => self.catalogue.operator("pg_catalog", "=").is_none(),
                _ => false,
            };
        let (Some(left), Some(right)) = (&expr.lexpr, &expr.rexpr) else {
            return Ok(false);
        };
        if !equality {
            return Ok(false);
        }
        let column = match (kind(left)?, kind(right)?) {
            (NodeEnum::ColumnRef(column), value) | (value, NodeEnum::ColumnRef(column))
                if is_value(value)? =>
            {
                column
            }
            _ => return Ok(false),
        };
        self.is_own_column(column, env)
    }

    /// Whether it is, for certain, a column of one table in the FROM beside it.
    fn is_own_column(&mut self, column: &ColumnRef, env: &Env<'_>) -> Walked<bool> {
        let column = self.own_column(column, env)?;
        // A view's column, or a query's, is made of others.
        Ok(column.is_some_and(|column| column.reads.len() == 1 && column.flow == column.reads))
    }

    /// The one column that a name means, for certain, of what is in the FROM beside it.
    fn own_column<'e>(
        &mut self,
        column: &ColumnRef,
        env: &'e Env<'_>,
    ) -> Walked<Option<&'e Column>> {
        let Some(level) = &env.level else {
            return Ok(None);
        };
        self.charge(level.items.columns.len())?;
        let mut fields = column.fields.iter();
        if fields.any(|field| !matches!(field.node, Some(NodeEnum::String(_)))) {
            return Ok(None);
        }
        let names = strings(&column.fields)?;
        let found: Vec<_> = match names.as_slice() {
            [] => return Ok(None),
            [name] => level
                .items
                .columns
                .iter()
                .filter(|column| &*column.name == *name)
                .collect(),
            [qualifier @ .., name] => {
                let qualifier = Qualifier::of(qualifier, self.catalogue)?;
                let entries = level.items.entries.iter();
                entries
                    .filter(|entry| qualifier.means(entry))
                    .flat_map(|entry| &entry.columns)
                    .filter(|column| &*column.name == *name)
                    .collect()
            }
        };
        Ok(match found.as_slice() {
            [column] => Some(*column),
            _ => None,
        })
    }

    /// The type of a result column, where it is plainly that of a column; else zero.
    pub(super) fn type_of(&mut self, value: &Node, env: &Env<'_>) -> Walked<u32> {
        let NodeEnum::ColumnRef(reference) = kind(value)? else {
            return Ok(0);
        };
        let column = self.own_column(reference, env)?;
        Ok(column.map_or(0, |column| column.type_oid))
    }
}

/// Whether it is a placeholder or a constant.
fn is_value(node: &NodeEnum) -> Walked<bool> {
    Ok(match node {
        NodeEnum::ParamRef(_) | NodeEnum::AConst(_) => true,
        NodeEnum::TypeCast(cast) => {
            let TypeCast {
                arg: Some(arg),
                type_name: Some(type_name),
                location: _,
            } = &**cast
            else {
                return Ok(false);
            };
            let TypeName {
                names,
                type_oid: _,
                setof: false,
                pct_type: false,
                typmods: _,
                typemod: _,
                array_bounds,
                location: _,
            } = type_name
            else {
                return Ok(false);
            };
            let known = match strings(names)?.as_slice() {
                ["pg_catalog", name] | [name] => TYPES.contains(name),
                _ => false,
            };
            let constant = matches!(kind(arg)?, NodeEnum::ParamRef(_) | NodeEnum::AConst(_));
            known && constant && array_bounds.is_empty()
        }
        _ => false,
    })
}
