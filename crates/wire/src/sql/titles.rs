//! What PostgreSQL calls a result column that has no name given: the rules of its `FigureColname`.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AExprKind, JsonExprOp, MinMaxOp, Node, SqlValueFunctionOp, SubLinkType, XmlExprOp,
};

/// The column's name.
pub(super) fn title(value: &Node) -> &str {
    named(value).map_or("?column?", |(name, _)| name)
}

/// Whether the name comes from within a sub-select in a way that [`title`] does not follow: there the
/// server goes by the first column of what the sub-select turns out to be.
pub(super) fn is_unsure(value: &Node) -> bool {
    let unsure = |value: Option<&Node>| value.is_some_and(is_unsure);
    match &value.node {
        Some(NodeEnum::AIndirection(indirection)) => unsure(indirection.arg.as_deref()),
        Some(NodeEnum::TypeCast(cast)) => unsure(cast.arg.as_deref()),
        Some(NodeEnum::CollateClause(collate)) => unsure(collate.arg.as_deref()),
        Some(NodeEnum::CaseExpr(case)) => unsure(case.defresult.as_deref()),
        Some(NodeEnum::SubLink(link)) if link.sub_link_type == SubLinkType::ExprSublink as i32 => {
            let query = link
                .subselect
                .as_deref()
                .and_then(|query| query.node.as_ref());
            let Some(NodeEnum::SelectStmt(select)) = query else {
                return true;
            };
            let first = select
                .target_list
                .first()
                .and_then(|first| first.node.as_ref());
            match first {
                Some(NodeEnum::ResTarget(target)) => {
                    let value = target.val.as_deref();
                    value.is_none_or(is_star) || target.name.is_empty() && unsure(value)
                }
                // VALUES, or a set operation.
                _ => true,
            }
        }
        _ => false,
    }
}

fn is_star(value: &Node) -> bool {
    let fields = match &value.node {
        Some(NodeEnum::ColumnRef(reference)) => &reference.fields,
        Some(NodeEnum::AIndirection(indirection)) => &indirection.indirection,
        _ => return false,
    };
    let star = |field: &Node| matches!(field.node, Some(NodeEnum::AStar(_)));
    fields.last().is_some_and(star)
}

/// A name, and whether it is a good one (a better one than a type's).
fn named(value: &Node) -> Option<(&str, bool)> {
    let good = |name| Some((name, true));
    let weak = |name| Some((name, false));
    match value.node.as_ref()? {
        NodeEnum::ColumnRef(reference) => last(&reference.fields).and_then(good),
        NodeEnum::AIndirection(indirection) => last(&indirection.indirection)
            .and_then(good)
            .or_else(|| named(indirection.arg.as_deref()?)),
        NodeEnum::FuncCall(call) => last(&call.funcname).and_then(good),
        NodeEnum::AExpr(expr) if expr.kind == AExprKind::AexprNullif as i32 => good("nullif"),
        NodeEnum::TypeCast(cast) => match cast.arg.as_deref().and_then(named) {
            Some((name, true)) => good(name),
            _ => last(&cast.type_name.as_ref()?.names).and_then(weak),
        },
        NodeEnum::CollateClause(collate) => named(collate.arg.as_deref()?),
        NodeEnum::GroupingFunc(_) => good("grouping"),
        NodeEnum::MergeSupportFunc(_) => good("merge_action"),
        NodeEnum::SubLink(link) => match SubLinkType::try_from(link.sub_link_type).ok()? {
            SubLinkType::ExistsSublink => good("exists"),
            SubLinkType::ArraySublink => good("array"),
            SubLinkType::ExprSublink => match link.subselect.as_deref()?.node.as_ref()? {
                NodeEnum::SelectStmt(select) => match select.target_list.first()?.node.as_ref()? {
                    NodeEnum::ResTarget(target) if !target.name.is_empty() => good(&target.name),
                    NodeEnum::ResTarget(target) => named(target.val.as_deref()?),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        },
        NodeEnum::CaseExpr(case) => match case.defresult.as_deref().and_then(named) {
            Some((name, true)) => good(name),
            _ => weak("case"),
        },
        NodeEnum::AArrayExpr(_) => good("array"),
        NodeEnum::RowExpr(_) => good("row"),
        NodeEnum::CoalesceExpr(_) => good("coalesce"),
        NodeEnum::MinMaxExpr(expr) => match MinMaxOp::try_from(expr.op).ok()? {
            MinMaxOp::IsGreatest => good("greatest"),
            MinMaxOp::IsLeast => good("least"),
            MinMaxOp::Undefined => None,
        },
        NodeEnum::SqlvalueFunction(value) => {
            good(match SqlValueFunctionOp::try_from(value.op).ok()? {
                SqlValueFunctionOp::SvfopCurrentDate => "current_date",
                SqlValueFunctionOp::SvfopCurrentTime | SqlValueFunctionOp::SvfopCurrentTimeN => {
                    "current_time"
                }
                SqlValueFunctionOp::SvfopCurrentTimestamp
                | SqlValueFunctionOp::SvfopCurrentTimestampN => "current_timestamp",
                SqlValueFunctionOp::SvfopLocaltime | SqlValueFunctionOp::SvfopLocaltimeN => {
                    "localtime"
                }
                SqlValueFunctionOp::SvfopLocaltimestamp
                | SqlValueFunctionOp::SvfopLocaltimestampN => "localtimestamp",
                SqlValueFunctionOp::SvfopCurrentRole => "current_role",
                SqlValueFunctionOp::SvfopCurrentUser => "current_user",
                SqlValueFunctionOp::SvfopUser => "user",
                SqlValueFunctionOp::SvfopSessionUser => "session_user",
                SqlValueFunctionOp::SvfopCurrentCatalog => "current_catalog",
                SqlValueFunctionOp::SvfopCurrentSchema => "current_schema",
                SqlValueFunctionOp::SqlvalueFunctionOpUndefined => return None,
            })
        }
        NodeEnum::XmlExpr(expr) => good(match XmlExprOp::try_from(expr.op).ok()? {
            XmlExprOp::IsXmlconcat => "xmlconcat",
            XmlExprOp::IsXmlelement => "xmlelement",
            XmlExprOp::IsXmlforest => "xmlforest",
            XmlExprOp::IsXmlparse => "xmlparse",
            XmlExprOp::IsXmlpi => "xmlpi",
            XmlExprOp::IsXmlroot => "xmlroot",
            _ => return None,
        }),
        NodeEnum::XmlSerialize(_) => good("xmlserialize"),
        NodeEnum::JsonParseExpr(_) => good("json"),
        NodeEnum::JsonScalarExpr(_) => good("json_scalar"),
        NodeEnum::JsonSerializeExpr(_) => good("json_serialize"),
        NodeEnum::JsonObjectConstructor(_) => good("json_object"),
        NodeEnum::JsonArrayConstructor(_) | NodeEnum::JsonArrayQueryConstructor(_) => {
            good("json_array")
        }
        NodeEnum::JsonObjectAgg(_) => good("json_objectagg"),
        NodeEnum::JsonArrayAgg(_) => good("json_arrayagg"),
        NodeEnum::JsonFuncExpr(expr) => good(match JsonExprOp::try_from(expr.op).ok()? {
            JsonExprOp::JsonExistsOp => "json_exists",
            JsonExprOp::JsonQueryOp => "json_query",
            JsonExprOp::JsonValueOp => "json_value",
            _ => return None,
        }),
        // Everything else has no name of its own.
        _ => None,
    }
}

/// The last of a list, if it is a name. Subscripts are passed over.
fn last(fields: &[Node]) -> Option<&str> {
    fields.iter().rev().find_map(|field| match &field.node {
        Some(NodeEnum::String(name)) => Some(&*name.sval),
        _ => None,
    })
}
