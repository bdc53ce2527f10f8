//! Reading request headers without an HTTP library.

/// The headers of a request.
pub trait HeaderView {
    /// Calls `visit` with each value of the header of this lower-case name, in order.
    fn each<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8]));
}

/// A header that is to stand there once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Single<'h> {
    /// Not there.
    Absent,
    /// Once, with surrounding blanks removed.
    One(&'h str),
    /// More than once, or not UTF-8: nobody can say what it means.
    Unusable,
}

impl<'h> Single<'h> {
    /// The value, if there is exactly one.
    pub(super) fn one(self) -> Option<&'h str> {
        match self {
            Self::One(value) => Some(value),
            Self::Absent | Self::Unusable => None,
        }
    }
}

/// The one value of a header. An empty value counts as absent: gateways clear headers that way.
pub(super) fn single<'h>(headers: &'h dyn HeaderView, name: &str) -> Single<'h> {
    let mut found = Single::Absent;
    let mut seen = 0_usize;
    headers.each(name, &mut |value| {
        seen += 1;
        found = match std::str::from_utf8(value.trim_ascii()) {
            Ok("") => Single::Absent,
            Ok(text) => Single::One(text),
            Err(_) => Single::Unusable,
        };
    });
    if seen > 1 { Single::Unusable } else { found }
}
