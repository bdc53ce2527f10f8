//! One row of the option table: the source of flags, variables, TOML keys, help, documentation and `check-config`.

use super::value::Value;

/// How an option's value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`, as Go spells them.
    Bool,
    /// A whole number.
    Int,
    /// Text.
    Text,
    /// A Go duration.
    Duration,
    /// A list of texts.
    List,
}

impl Kind {
    /// The name that people read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Text => "string",
            Self::Duration => "duration",
            Self::List => "list",
        }
    }
}

/// Whose option it is; decides on the variable's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Known from oauth2-proxy: `OAUTH2_PROXY_*`.
    Oauth2Proxy,
    /// Our own: `CONCLAVE_*`.
    Conclave,
    /// A flag only: no variable, no TOML key.
    FlagOnly,
}

/// What becomes of an option that is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Does what it does in oauth2-proxy, with a remark where there is one.
    Honoured(&'static str),
    /// Read, and turned into something else.
    Mapped(&'static str),
    /// Read, and not needed: why.
    Ignored(&'static str),
    /// Stops the start: what to do instead.
    Refused(&'static str),
    /// Read and checked, and without effect so far: what is missing.
    Later(&'static str),
}

impl Standing {
    /// One word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Honoured(_) => "honoured",
            Self::Mapped(_) => "mapped",
            Self::Ignored(_) => "ignored",
            Self::Refused(_) => "refused",
            Self::Later(_) => "not yet",
        }
    }

    /// The sentence; may be empty for what is simply honoured.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Honoured(text)
            | Self::Mapped(text)
            | Self::Ignored(text)
            | Self::Refused(text)
            | Self::Later(text) => text,
        }
    }
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// TOML key, and the name in every message.
    pub name: &'static str,
    /// Flag without its dashes.
    pub flag: &'static str,
    /// How its value is read.
    pub kind: Kind,
    /// Default as text: `true`, `168h`, `[aud]`.
    pub default: &'static str,
    /// Whose it is.
    pub family: Family,
    /// What it means.
    pub help: &'static str,
    /// What becomes of it.
    pub standing: Standing,
    /// Its value never prints.
    pub secret: bool,
    /// Not in help and documentation.
    pub hidden: bool,
}

impl Opt {
    const fn new(name: &'static str, flag: &'static str, kind: Kind, default: &'static str, family: Family) -> Self {
        let standing = Standing::Honoured("");
        Self { name, flag, kind, default, family, help: "", standing, secret: false, hidden: false }
    }

    /// An option of oauth2-proxy.
    pub(super) const fn oauth2_proxy(
        name: &'static str,
        flag: &'static str,
        kind: Kind,
        default: &'static str,
    ) -> Self {
        Self::new(name, flag, kind, default, Family::Oauth2Proxy)
    }

    /// One of our own.
    pub(super) const fn conclave(name: &'static str, flag: &'static str, kind: Kind, default: &'static str) -> Self {
        Self::new(name, flag, kind, default, Family::Conclave)
    }

    /// A flag without a variable or TOML key.
    pub(super) const fn flag_only(name: &'static str, flag: &'static str, kind: Kind, default: &'static str) -> Self {
        Self::new(name, flag, kind, default, Family::FlagOnly)
    }

    pub(super) const fn help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    pub(super) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(super) const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    pub(super) const fn remark(mut self, remark: &'static str) -> Self {
        self.standing = Standing::Honoured(remark);
        self
    }

    pub(super) const fn mapped(mut self, to: &'static str) -> Self {
        self.standing = Standing::Mapped(to);
        self
    }

    pub(super) const fn ignored(mut self, why: &'static str) -> Self {
        self.standing = Standing::Ignored(why);
        self
    }

    pub(super) const fn refused(mut self, instead: &'static str) -> Self {
        self.standing = Standing::Refused(instead);
        self
    }

    pub(super) const fn later(mut self, missing: &'static str) -> Self {
        self.standing = Standing::Later(missing);
        self
    }

    /// The variable's name, where it has one.
    pub fn variable(&self) -> Option<String> {
        let prefix = match self.family {
            Family::Oauth2Proxy => "OAUTH2_PROXY_",
            Family::Conclave => "CONCLAVE_",
            Family::FlagOnly => return None,
        };
        Some(format!("{prefix}{}", self.name.to_ascii_uppercase()))
    }

    /// Whether a TOML file may name it.
    pub fn in_file(&self) -> bool {
        match self.family {
            Family::Oauth2Proxy | Family::Conclave => true,
            Family::FlagOnly => false,
        }
    }

    /// The default as a value.
    pub fn default_value(&self) -> Value {
        Value::of_default(self.kind, self.default)
    }
}
