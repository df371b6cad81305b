//! Functions and operators: which of them a call means, and what that takes.

use bailiwick_action::{Action, Class, Kind, Resource, Verb};
use pg_query::NodeEnum;
use pg_query::protobuf::{FuncCall, Node, TypeName, a_const};

use super::builtins::{self, Builtin, builtin};
use super::catalogue::{Function, Volatility};
use super::flow::Flow;
use super::scope::Env;
use super::settings::{free, harmless_setting};
use super::walk::{Walked, Walker, kind, refuse, strings};

/// What a function gives when it stands in FROM.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// One column.
    One,
    /// These columns.
    Named(&'static [&'static str]),
    /// It is not known.
    Unknown,
}

/// What is known of a function that is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traits {
    /// It may return any number of rows.
    set: bool,
    shape: Shape,
}

impl Walker<'_> {
    /// A function call: what its value is made of.
    pub(super) fn call<'t>(&mut self, call: &'t FuncCall, env: &Env<'t>) -> Walked<Flow> {
        self.called(call, env).map(|(flow, _)| flow)
    }

    /// A function in FROM: what it is made of, its shape and its name.
    pub(super) fn table_function<'t>(
        &mut self,
        node: &'t Node,
        env: &Env<'t>,
    ) -> Walked<(Flow, Shape, std::rc::Rc<str>)> {
        let name = super::titles::title(node).into();
        match kind(node)? {
            NodeEnum::FuncCall(call) => {
                let (flow, shape) = self.called(call, env)?;
                Ok((flow, shape, name))
            }
            // What has its own grammar returns one value.
            _ => Ok((self.expr(node, env)?, Shape::One, name)),
        }
    }

    fn called<'t>(&mut self, call: &'t FuncCall, env: &Env<'t>) -> Walked<(Flow, Shape)> {
        let FuncCall {
            funcname,
            args,
            agg_order,
            agg_filter,
            over,
            agg_within_group,
            agg_star: _,
            agg_distinct: _,
            func_variadic: _,
            funcformat: _,
            location: _,
        } = call;
        let names = strings(funcname)?;
        let mut flow = Flow::default();
        for arg in args {
            let arg = self.expr(arg, env)?;
            self.join(&mut flow, &arg)?;
        }
        let traits = if self.sets_setting(&names, args)? {
            Traits {
                set: false,
                shape: Shape::One,
            }
        } else if let ([name], [_]) = (names.as_slice(), args.as_slice())
            && !self.is_function(name)
            && self.is_column_in_scope(name, env)?
        {
            // `column(row)` is `row.column` where there is no such function.
            Traits {
                set: false,
                shape: Shape::One,
            }
        } else {
            self.function(&names)?
        };
        if let (["pg_catalog", name @ "system_user"], []) = (names.as_slice(), args.as_slice())
            && self.catalogue.is_column(name)
        {
            // A word without parentheses; before PostgreSQL 16 it is a column.
            let column = self.bare(name, env)?;
            self.join(&mut flow, &column)?;
        }
        if traits.set {
            // How many rows there are tells of the arguments.
            self.expose(&flow)?;
        }
        for item in agg_order {
            let order = self.sorted(item, env)?;
            self.join(&mut flow, &order)?;
            // WITHIN GROUP orders what the aggregate is of; else the order shows in the result.
            if !agg_within_group {
                self.expose(&order)?;
            }
        }
        if let Some(filter) = agg_filter {
            let filter = self.expr(filter, env)?;
            self.expose(&filter)?;
            self.join(&mut flow, &filter)?;
        }
        if let Some(window) = over {
            self.window(window, env)?;
        }
        Ok((flow, traits.shape))
    }

    /// `set_config` is SET by another name.
    fn sets_setting(&mut self, names: &[&str], args: &[Node]) -> Walked<bool> {
        let [.., "set_config"] = names else {
            return Ok(false);
        };
        let system = match names {
            [name] => self.catalogue.visible_functions(name).next().is_none(),
            [schema, _] => *schema == "pg_catalog",
            _ => false,
        };
        if !system {
            return Ok(false);
        }
        let [name, value, _] = args else {
            return refuse("set_config() without a name, a value and whether it is local");
        };
        let worked_out = "set_config() of something that is worked out; write both as constants";
        let Some(name) = literal(name) else {
            return refuse(worked_out);
        };
        match (literal(value), &value.node) {
            (Some(value), _) if harmless_setting(name, value) => {}
            // The agent's own, whatever it will be.
            (None, Some(NodeEnum::ParamRef(_))) if free(name) => {}
            (Some(_), _) => self.sets(name),
            (None, _) => return refuse(worked_out),
        }
        Ok(true)
    }

    /// Takes down that a setting is changed.
    pub(super) fn sets(&mut self, name: &str) {
        self.act(Action::new(
            Verb::Set,
            Resource::named(Kind::Setting, name.to_ascii_lowercase()),
        ));
    }

    /// Whether a name alone, without a schema, is any function's that is known.
    pub(super) fn is_function(&self, name: &str) -> bool {
        builtin(name) != Builtin::Unknown || self.catalogue.visible_functions(name).next().is_some()
    }

    /// Takes down what calling a function takes.
    pub(super) fn function(&mut self, names: &[&str]) -> Walked<Traits> {
        match names {
            [name] => {
                let own = builtin(name);
                let others: Vec<_> = self.catalogue.visible_functions(name).collect();
                if own == Builtin::Unknown && others.is_empty() {
                    self.unknown_function(name);
                }
                let plain = others.is_empty();
                let mut set = builtins::returns_set(name) || (plain && own == Builtin::Unknown);
                for (schema, function) in others {
                    set |= function.set;
                    // An extension's overload of a harmless function, for types of its own.
                    let same = own == Builtin::Harmless
                        && function.installed
                        && function.volatility == Volatility::Immutable;
                    if !same {
                        self.runs(schema, name, function);
                    }
                }
                self.granted(own, name);
                Ok(Traits {
                    set,
                    shape: shape(name, plain && own == Builtin::Harmless),
                })
            }
            [schema, name] => {
                if let Some(function) = self.catalogue.function(schema, name) {
                    self.runs(schema, name, function);
                    let own = match *schema {
                        "pg_catalog" => builtin(name),
                        _ => Builtin::Harmless,
                    };
                    self.granted(own, name);
                    return Ok(Traits {
                        set: function.set || builtins::returns_set(name),
                        shape: Shape::Unknown,
                    });
                }
                let own = match *schema {
                    "pg_catalog" => builtin(name),
                    _ => Builtin::Unknown,
                };
                if own == Builtin::Unknown {
                    self.unknown_function(&names.join("."));
                }
                self.granted(own, name);
                Ok(Traits {
                    set: own == Builtin::Unknown || builtins::returns_set(name),
                    shape: shape(name, own == Builtin::Harmless),
                })
            }
            [database, rest @ ..] if *database == self.catalogue.database() && rest.len() == 2 => {
                self.function(rest)
            }
            _ => refuse("a function of another database, or with too many names before it"),
        }
    }

    /// A function that has its own grammar here. To a target that does not know that grammar yet it is
    /// a plain call, and may mean a function that someone has made in its stead.
    pub(super) fn spelt(&mut self, name: &str) {
        let others: Vec<_> = self.catalogue.visible_functions(name).collect();
        for (schema, function) in others {
            self.runs(schema, name, function);
        }
    }

    /// `(value).name`: a field of the value, or a function called with it.
    pub(super) fn call_by_field(&mut self, name: &str) -> Walked<()> {
        if self.is_function(name) {
            self.function(&[name])?;
        } else if !builtins::is_field(name) && !self.catalogue.is_column(name) {
            self.unknown_function(name);
        }
        Ok(())
    }

    /// Takes down what using an operator takes. Without a name there is none.
    pub(super) fn operator(&mut self, names: &[Node]) -> Walked<()> {
        match strings(names)?.as_slice() {
            [] => Ok(()),
            [name] => {
                self.operator_named(name);
                Ok(())
            }
            ["pg_catalog", name] if self.catalogue.operator("pg_catalog", name).is_none() => Ok(()),
            [schema, name] => {
                match self.catalogue.operator(schema, name) {
                    Some(operator) => {
                        self.applies(schema, name, operator.volatility, operator.installed);
                    }
                    None => self.unknown_function(&format!("{schema}.{name}")),
                }
                Ok(())
            }
            _ => refuse("an operator with too many names before it"),
        }
    }

    /// The same for an operator's symbol alone.
    pub(super) fn operator_named(&mut self, name: &str) {
        let found: Vec<_> = self.catalogue.visible_operators(name).collect();
        for (schema, operator) in found {
            self.applies(schema, name, operator.volatility, operator.installed);
        }
    }

    fn applies(&mut self, schema: &str, name: &str, volatility: Volatility, installed: bool) {
        // Extensions bring operators for types of their own; those that only compute are as good as
        // the system's.
        if installed && volatility == Volatility::Immutable {
            return;
        }
        self.act(Action::execute(
            class(volatility),
            Resource::function(schema, name),
        ));
    }

    fn runs(&mut self, schema: &str, name: &str, function: Function) {
        self.act(execute(schema, name, function));
    }

    /// Takes down what making a value of a type takes.
    pub(super) fn makes(&mut self, type_name: Option<&TypeName>) -> Walked<()> {
        if let Some(type_name) = type_name {
            for action in self.making(type_name)? {
                self.act(action);
            }
        }
        Ok(())
    }

    /// What making a value of a type takes.
    pub(super) fn making(&mut self, type_name: &TypeName) -> Walked<Vec<Action>> {
        let TypeName {
            names,
            type_oid: _,
            setof: _,
            pct_type: _,
            typmods: _,
            typemod: _,
            array_bounds: _,
            location: _,
        } = type_name;
        let catalogue = self.catalogue;
        let types = match strings(names)?.as_slice() {
            [name] => catalogue.visible_types(name),
            [schema, name] => catalogue.types_named(schema, name),
            [database, schema, name] if *database == catalogue.database() => {
                catalogue.types_named(schema, name)
            }
            _ => return refuse("a type of another database, or with too many names before it"),
        };
        let mut actions = Vec::new();
        for oid in types {
            actions.extend(super::of_type(oid, catalogue));
        }
        self.charge(actions.len())?;
        Ok(actions)
    }

    fn granted(&mut self, own: Builtin, name: &str) {
        if let Builtin::Granted(class) = own {
            self.act(Action::execute(
                class,
                Resource::function("pg_catalog", name),
            ));
        }
    }

    /// No grant matches a function without a schema.
    pub(super) fn unknown_function(&mut self, name: &str) {
        self.act(Action::execute(Class::Write, Resource::function("", name)));
    }
}

/// What running a function is.
pub(super) fn execute(schema: &str, name: &str, function: Function) -> Action {
    Action::execute(class(function.volatility), Resource::function(schema, name))
}

/// The class of a function by what it says of itself.
fn class(volatility: Volatility) -> Class {
    match volatility {
        Volatility::Immutable | Volatility::Stable => Class::Read,
        Volatility::Volatile => Class::Write,
    }
}

fn shape(name: &str, system: bool) -> Shape {
    match builtins::columns(name).filter(|_| system) {
        Some([]) => Shape::One,
        Some(names) => Shape::Named(names),
        None => Shape::Unknown,
    }
}

/// A constant string.
fn literal(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            a_const::Val::Sval(string) => Some(&string.sval),
            _ => None,
        },
        _ => None,
    }
}
