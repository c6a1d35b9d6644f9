//! Names of strategies as options and files have them.

use std::str::FromStr;

use afflux_swarm::StrategyName;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// A parser of names, which lists them in the help.
pub(crate) fn names() -> impl TypedValueParser<Value = StrategyName> {
    let names = StrategyName::ALL.map(|name| PossibleValue::new(name.as_str()).help(name.about()));
    PossibleValuesParser::new(names).try_map(|name| StrategyName::from_str(&name))
}

/// A name in the TOML file.
pub(super) fn from_file<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<StrategyName>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?;
    name.map(|name| name.parse().map_err(D::Error::custom)).transpose()
}
