//! Expressions: what a value is made of. Everything in an expression counts, whatever its place in it:
//! a condition within CASE shows in the result as its value does.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AArrayExpr, AExpr, AExprKind, AIndices, AIndirection, BoolExpr, BooleanTest, CaseExpr,
    CaseWhen, CoalesceExpr, CollateClause, CurrentOfExpr, GroupingFunc, MinMaxExpr, MultiAssignRef,
    NamedArgExpr, Node, NullTest, ResTarget, RowExpr, SubLink, SubLinkType, TypeCast, TypeName,
    XmlExpr, XmlSerialize,
};

use super::flow::Flow;
use super::scope::Env;
use super::walk::{Walked, Walker, kind, present, refuse};

impl Walker<'_> {
    /// What an expression's value is made of.
    pub(super) fn expr<'t>(&mut self, node: &'t Node, env: &Env<'t>) -> Walked<Flow> {
        self.deeper(|walker| walker.expr_kind(kind(node)?, env))
    }

    fn expr_kind<'t>(&mut self, node: &'t NodeEnum, env: &Env<'t>) -> Walked<Flow> {
        match node {
            NodeEnum::AConst(_)
            | NodeEnum::ParamRef(_)
            | NodeEnum::SetToDefault(_)
            | NodeEnum::SqlvalueFunction(_) => Ok(Flow::default()),
            NodeEnum::MergeSupportFunc(_) => {
                self.spelt("merge_action");
                Ok(Flow::default())
            }
            NodeEnum::ColumnRef(reference) => self.column_ref(reference, env),
            NodeEnum::AExpr(expr) => self.operation(expr, env),
            NodeEnum::BoolExpr(expr) => self.boolean(expr, env),
            NodeEnum::FuncCall(call) => self.call(call, env),
            NodeEnum::TypeCast(cast) => self.cast(cast, env),
            NodeEnum::SubLink(link) => self.subquery(link, env),
            NodeEnum::CaseExpr(case) => self.case(case, env),
            NodeEnum::AIndirection(indirection) => self.indirection(indirection, env),
            NodeEnum::List(list) => self.all(&list.items, env),
            NodeEnum::AArrayExpr(array) => {
                let AArrayExpr {
                    elements,
                    list_start: _,
                    list_end: _,
                    location: _,
                } = array;
                self.all(elements, env)
            }
            NodeEnum::RowExpr(row) => {
                let RowExpr {
                    xpr,
                    args,
                    row_typeid: _,
                    row_format: _,
                    colnames: _,
                    location: _,
                } = &**row;
                raw(xpr.is_none())?;
                self.all(args, env)
            }
            NodeEnum::CoalesceExpr(expr) => {
                let CoalesceExpr {
                    xpr,
                    coalescetype: _,
                    coalescecollid: _,
                    args,
                    location: _,
                } = &**expr;
                raw(xpr.is_none())?;
                self.all(args, env)
            }
            NodeEnum::MinMaxExpr(expr) => {
                let MinMaxExpr {
                    xpr,
                    minmaxtype: _,
                    minmaxcollid: _,
                    inputcollid: _,
                    op: _,
                    args,
                    location: _,
                } = &**expr;
                raw(xpr.is_none())?;
                self.all(args, env)
            }
            NodeEnum::NullTest(test) => {
                let NullTest {
                    xpr,
                    arg,
                    nulltesttype: _,
                    argisrow: _,
                    location: _,
                } = &**test;
                raw(xpr.is_none())?;
                self.maybe(arg.as_deref(), env)
            }
            NodeEnum::BooleanTest(test) => {
                let BooleanTest {
                    xpr,
                    arg,
                    booltesttype: _,
                    location: _,
                } = &**test;
                raw(xpr.is_none())?;
                self.maybe(arg.as_deref(), env)
            }
            NodeEnum::CollateClause(collate) => {
                let CollateClause {
                    arg,
                    collname: _,
                    location: _,
                } = &**collate;
                self.maybe(arg.as_deref(), env)
            }
            NodeEnum::NamedArgExpr(named) => {
                let NamedArgExpr {
                    xpr,
                    arg,
                    name: _,
                    argnumber: _,
                    location: _,
                } = &**named;
                raw(xpr.is_none())?;
                self.maybe(arg.as_deref(), env)
            }
            NodeEnum::GroupingFunc(grouping) => {
                let GroupingFunc {
                    xpr,
                    args,
                    refs,
                    agglevelsup: _,
                    location: _,
                } = &**grouping;
                raw(xpr.is_none() && refs.is_empty())?;
                self.all(args, env)
            }
            NodeEnum::MultiAssignRef(assign) => {
                let MultiAssignRef {
                    source,
                    colno: _,
                    ncolumns: _,
                } = &**assign;
                self.maybe(source.as_deref(), env)
            }
            NodeEnum::CurrentOfExpr(current) => {
                let CurrentOfExpr {
                    xpr,
                    cvarno: _,
                    cursor_name: _,
                    cursor_param: _,
                } = &**current;
                raw(xpr.is_none())?;
                Ok(Flow::default())
            }
            NodeEnum::XmlExpr(expr) => self.xml(expr, env),
            NodeEnum::XmlSerialize(expr) => {
                let XmlSerialize {
                    xmloption: _,
                    expr,
                    type_name,
                    indent: _,
                    location: _,
                } = &**expr;
                self.makes(type_name.as_ref())?;
                self.maybe(expr.as_deref(), env)
            }
            NodeEnum::JsonParseExpr(_)
            | NodeEnum::JsonScalarExpr(_)
            | NodeEnum::JsonSerializeExpr(_)
            | NodeEnum::JsonObjectConstructor(_)
            | NodeEnum::JsonArrayConstructor(_)
            | NodeEnum::JsonArrayQueryConstructor(_)
            | NodeEnum::JsonObjectAgg(_)
            | NodeEnum::JsonArrayAgg(_)
            | NodeEnum::JsonFuncExpr(_)
            | NodeEnum::JsonIsPredicate(_)
            | NodeEnum::JsonValueExpr(_) => {
                for name in JSON_FUNCTIONS {
                    self.spelt(name);
                }
                self.json(node, env)
            }
            _ => refuse("an expression of a kind that is not known"),
        }
    }

    /// What an expression that may be absent is made of.
    pub(super) fn maybe<'t>(&mut self, node: Option<&'t Node>, env: &Env<'t>) -> Walked<Flow> {
        match node {
            Some(node) => self.expr(node, env),
            None => Ok(Flow::default()),
        }
    }

    /// What all of a list is made of.
    pub(super) fn all<'t>(&mut self, nodes: &'t [Node], env: &Env<'t>) -> Walked<Flow> {
        let mut flow = Flow::default();
        for node in nodes {
            let part = self.expr(node, env)?;
            self.join(&mut flow, &part)?;
        }
        Ok(flow)
    }

    fn operation<'t>(&mut self, expr: &'t AExpr, env: &Env<'t>) -> Walked<Flow> {
        let AExpr {
            kind,
            name,
            lexpr,
            rexpr,
            rexpr_list_start: _,
            rexpr_list_end: _,
            location: _,
        } = expr;
        match AExprKind::try_from(*kind) {
            Ok(
                AExprKind::AexprOp
                | AExprKind::AexprOpAny
                | AExprKind::AexprOpAll
                | AExprKind::AexprDistinct
                | AExprKind::AexprNotDistinct
                | AExprKind::AexprNullif
                | AExprKind::AexprIn
                | AExprKind::AexprLike
                | AExprKind::AexprIlike
                | AExprKind::AexprSimilar,
            ) => self.operator(name)?,
            // BETWEEN stands for comparisons.
            Ok(
                AExprKind::AexprBetween
                | AExprKind::AexprNotBetween
                | AExprKind::AexprBetweenSym
                | AExprKind::AexprNotBetweenSym,
            ) => {
                for name in ["<", "<=", ">", ">="] {
                    self.operator_named(name);
                }
            }
            Ok(AExprKind::Undefined) | Err(_) => {
                return refuse("an operator of a kind that is not known");
            }
        }
        let mut flow = self.maybe(lexpr.as_deref(), env)?;
        let right = self.maybe(rexpr.as_deref(), env)?;
        self.join(&mut flow, &right)?;
        Ok(flow)
    }

    fn boolean<'t>(&mut self, expr: &'t BoolExpr, env: &Env<'t>) -> Walked<Flow> {
        let BoolExpr {
            xpr,
            boolop: _,
            args,
            location: _,
        } = expr;
        raw(xpr.is_none())?;
        self.all(args, env)
    }

    fn cast<'t>(&mut self, cast: &'t TypeCast, env: &Env<'t>) -> Walked<Flow> {
        let TypeCast {
            arg,
            type_name,
            location: _,
        } = cast;
        self.makes(type_name.as_ref())?;
        let TypeName {
            names: _,
            type_oid: _,
            setof: _,
            pct_type: _,
            typmods,
            typemod: _,
            array_bounds: _,
            location: _,
        } = present(type_name.as_ref())?;
        for modifier in typmods {
            match kind(modifier)? {
                // A modifier is a constant, or a word that is not a column.
                NodeEnum::AConst(_) | NodeEnum::ColumnRef(_) => {}
                _ => return refuse("a type with a modifier that is not a constant"),
            }
        }
        self.maybe(arg.as_deref(), env)
    }

    fn case<'t>(&mut self, case: &'t CaseExpr, env: &Env<'t>) -> Walked<Flow> {
        let CaseExpr {
            xpr,
            casetype: _,
            casecollid: _,
            arg,
            args,
            defresult,
            location: _,
        } = case;
        raw(xpr.is_none())?;
        let mut flow = self.maybe(arg.as_deref(), env)?;
        if arg.is_some() {
            self.operator_named("=");
        }
        for when in args {
            let NodeEnum::CaseWhen(when) = kind(when)? else {
                return refuse("a CASE that is not known");
            };
            let CaseWhen {
                xpr,
                expr,
                result,
                location: _,
            } = &**when;
            raw(xpr.is_none())?;
            for part in [expr, result] {
                let part = self.maybe(part.as_deref(), env)?;
                self.join(&mut flow, &part)?;
            }
        }
        let default = self.maybe(defresult.as_deref(), env)?;
        self.join(&mut flow, &default)?;
        Ok(flow)
    }

    /// `value.field`, `value[1]`, `value.*`.
    fn indirection<'t>(&mut self, indirection: &'t AIndirection, env: &Env<'t>) -> Walked<Flow> {
        let AIndirection { arg, indirection } = indirection;
        let mut flow = self.expr(present(arg.as_deref())?, env)?;
        let steps = self.steps(indirection, env)?;
        self.join(&mut flow, &steps)?;
        Ok(flow)
    }

    /// The steps into a value.
    pub(super) fn steps<'t>(&mut self, steps: &'t [Node], env: &Env<'t>) -> Walked<Flow> {
        let mut flow = Flow::default();
        for step in steps {
            match kind(step)? {
                NodeEnum::String(name) => self.call_by_field(&name.sval)?,
                NodeEnum::AStar(_) => {}
                NodeEnum::AIndices(indices) => {
                    let AIndices {
                        is_slice: _,
                        lidx,
                        uidx,
                    } = &**indices;
                    for index in [lidx, uidx] {
                        let index = self.maybe(index.as_deref(), env)?;
                        self.join(&mut flow, &index)?;
                    }
                }
                _ => return refuse("a step into a value that is not known"),
            }
        }
        Ok(flow)
    }

    /// A query within an expression. Its conditions show in which rows it finds.
    fn subquery<'t>(&mut self, link: &'t SubLink, env: &Env<'t>) -> Walked<Flow> {
        let SubLink {
            xpr,
            sub_link_type,
            sub_link_id: _,
            testexpr,
            oper_name,
            subselect,
            location: _,
        } = link;
        raw(xpr.is_none())?;
        let existence = match SubLinkType::try_from(*sub_link_type) {
            Ok(SubLinkType::ExistsSublink) => true,
            Ok(
                SubLinkType::AllSublink
                | SubLinkType::AnySublink
                | SubLinkType::RowcompareSublink
                | SubLinkType::ExprSublink
                | SubLinkType::MultiexprSublink
                | SubLinkType::ArraySublink,
            ) => false,
            _ => return refuse("a query within an expression, of a kind that is not known"),
        };
        self.operator(oper_name)?;
        if testexpr.is_some() && oper_name.is_empty() {
            self.operator_named("=");
        }
        let mut flow = self.maybe(testexpr.as_deref(), env)?;
        let NodeEnum::SelectStmt(select) = kind(present(subselect.as_deref())?)? else {
            return refuse("something else than a query within an expression");
        };
        let (derived, touched) = self.touching(|walker| walker.select(select, env))?;
        let found = match existence {
            true => touched,
            false => derived.whole(),
        };
        self.join(&mut flow, &found)?;
        Ok(flow)
    }

    fn xml<'t>(&mut self, expr: &'t XmlExpr, env: &Env<'t>) -> Walked<Flow> {
        let XmlExpr {
            xpr,
            op: _,
            name: _,
            named_args,
            arg_names,
            args,
            xmloption: _,
            indent: _,
            r#type: _,
            typmod: _,
            location: _,
        } = expr;
        raw(xpr.is_none() && arg_names.is_empty())?;
        let mut flow = self.all(args, env)?;
        for named in named_args {
            let NodeEnum::ResTarget(target) = kind(named)? else {
                return refuse("an XML expression that is not known");
            };
            let ResTarget {
                name: _,
                indirection,
                val,
                location: _,
            } = &**target;
            raw(indirection.is_empty())?;
            let value = self.maybe(val.as_deref(), env)?;
            self.join(&mut flow, &value)?;
        }
        Ok(flow)
    }
}

/// What the SQL/JSON expressions are called.
const JSON_FUNCTIONS: [&str; 10] = [
    "json",
    "json_array",
    "json_arrayagg",
    "json_exists",
    "json_object",
    "json_objectagg",
    "json_query",
    "json_scalar",
    "json_serialize",
    "json_value",
];

/// The parser leaves some fields for later stages of the server to fill in.
pub(super) fn raw(unfilled: bool) -> Walked<()> {
    match unfilled {
        true => Ok(()),
        false => refuse("an expression with a part that is not known"),
    }
}
