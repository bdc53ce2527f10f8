//! Option table: flags without a variable or TOML key.

use crate::config::option::Kind::{Bool, Text};
use crate::config::option::Opt;

/// Rows of this part of the table.
pub(super) const ROWS: &[Opt] = &[
    Opt::flag_only("config", "config", Text, "").help("Path of the TOML file (flag only, no env)"),
    Opt::flag_only("alpha_config", "alpha-config", Text, "").help("Path of the structured YAML file; replaces upstream/header/server/provider legacy options (flag only)"),
    Opt::flag_only("convert_config_to_alpha", "convert-config-to-alpha", Bool, "false").help("Print the loaded configuration as alpha YAML and exit (flag only)").refused("Conclave takes flags, variables and TOML as they are, so there is nothing to convert; oauth2-proxy itself can."),
    Opt::flag_only("config_test", "config-test", Bool, "false").help("Validate and exit 0/1 (flag only)"),
    Opt::flag_only("version", "version", Bool, "false").help("Print version and exit (flag only)"),
];
