//! The endpoints together, on a real store of a cluster of one, with a provider that vouches for
//! whoever the code names.

mod advisories;
mod as_it_is;
mod before_us;
mod credentials;
mod gateway_kinds;
mod gateways;
mod login;
mod named_rules;
mod outward;
mod proxied;
mod refusals;
mod support;
mod who_asks;
