//! The frame of every page, and escaping.

use std::fmt;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

/// Text for HTML, in elements and in quoted attributes.
pub(super) struct Escaped<'t>(pub(super) &'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            other => fmt::Write::write_char(f, other),
        })
    }
}

/// A page of the demonstration.
pub(super) struct Page<'p> {
    /// For the window; plain text.
    pub(super) title: &'p str,
    /// Class of the body, which chooses its layout.
    pub(super) class: &'p str,
    /// Elements for the head besides the usual ones; HTML.
    pub(super) head: &'p str,
    /// HTML.
    pub(super) body: &'p str,
}

/// The look of every page.
pub(super) const STYLE: &str = include_str!("style.css");

/// Where [`STYLE`] is served, by app and provider alike.
pub(super) const STYLE_PATH: &str = "/_dev/style.css";

impl Page<'_> {
    pub(super) fn respond(&self, status: StatusCode) -> HttpResponse {
        HttpResponse::build(status).content_type("text/html; charset=utf-8").body(self.render())
    }

    fn render(&self) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
             <link rel=\"icon\" href=\"data:,\">\n<link rel=\"stylesheet\" href=\"{STYLE_PATH}\">\n{head}</head>\n\
             <body class=\"{class}\">\n{body}\n</body>\n</html>\n",
            title = Escaped(self.title),
            class = self.class,
            head = self.head,
            body = self.body,
        )
    }
}

/// Serves [`STYLE`].
pub(super) async fn style() -> HttpResponse {
    HttpResponse::Ok().content_type("text/css; charset=utf-8").body(STYLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_an_attribute() {
        assert_eq!(
            Escaped("<a href=\"x\" b='y'>&amp;").to_string(),
            "&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;amp;"
        );
        assert_eq!(Escaped("jörg ✓").to_string(), "jörg ✓");
    }
}
