//! The HTML pages: what happened, why, and what to do. Every text that comes from outside is escaped.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::Logo;

/// The only style sheet; the Content-Security-Policy names its digest, so that nothing else styles a page.
const STYLE: &str = include_str!("pages.css");

/// The policy of every page. `form-action` is left out on purpose: browsers hold it against the
/// redirects of a submitted form too, and the login form ends at the provider.
static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes());
    let digest = STANDARD.encode(digest);
    format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'")
});

/// Value of a page's Content-Security-Policy header; `logo` is the one picture that the page shows.
pub fn content_security_policy(logo: Option<&Logo>) -> Cow<'static, str> {
    let policy = CONTENT_SECURITY_POLICY.as_str();
    match logo {
        None => Cow::Borrowed(policy),
        Some(Logo::Inline(_)) => Cow::Owned(format!("{policy}; img-src data:")),
        Some(Logo::Linked(url)) => {
            // What ends a source or a directive of the policy ends the address here too.
            let source = url.split(['?', '#', ';', ',', ' ']).next().unwrap_or("");
            Cow::Owned(format!("{policy}; img-src {source}"))
        }
    }
}

/// A page that says what went wrong.
#[derive(Clone, Debug)]
pub struct ErrorPage<'a> {
    /// HTTP status, shown small.
    pub status: u16,
    /// What happened, in a few words.
    pub title: &'a str,
    /// Why.
    pub cause: &'a str,
    /// What the reader can do.
    pub advice: &'a str,
    /// Where "go back" leads; `None` on pages outside the login.
    pub back: Option<&'a str>,
    /// The service's own prefix, for the "sign in" button; `None` where signing in is no remedy.
    pub prefix: Option<&'a str>,
    /// `footer`.
    pub footer: Option<&'a str>,
}

impl ErrorPage<'_> {
    /// The whole document.
    pub fn render(&self) -> String {
        let mut body = format!(
            "<p class=\"code\">{}</p>\n<h1>{}</h1>\n<p class=\"cause\">{}</p>\n<p>{}</p>\n",
            self.status,
            escape(self.title),
            escape(self.cause),
            escape(self.advice),
        );
        body.push_str("<div class=\"actions\">\n");
        if let Some(back) = self.back {
            body.push_str(&form(back, None, "Go back", "quiet"));
        }
        if let Some(prefix) = self.prefix {
            body.push_str(&form(&format!("{prefix}/sign_in"), self.back.or(Some("/")), "Sign in again", "primary"));
        }
        body.push_str("</div>\n");
        document(self.title, &body, self.footer)
    }
}

/// The page that offers the login.
#[derive(Clone, Debug)]
pub struct SignInPage<'a> {
    /// The provider's name on the button.
    pub provider: &'a str,
    /// The text above the button; `None` = none.
    pub banner: Option<&'a str>,
    /// The service's own prefix.
    pub prefix: &'a str,
    /// Where the login leads.
    pub target: &'a str,
    /// Fields for a local user's name and password.
    pub local_form: bool,
    /// `footer`.
    pub footer: Option<&'a str>,
    /// The picture above it all.
    pub logo: Option<&'a Logo>,
}

impl SignInPage<'_> {
    /// The whole document.
    pub fn render(&self) -> String {
        let mut body = String::new();
        if let Some(Logo::Inline(source) | Logo::Linked(source)) = self.logo {
            let _ = writeln!(body, "<img class=\"logo\" src=\"{}\" alt=\"\">", escape(source));
        }
        body.push_str("<h1>Sign in</h1>\n");
        if let Some(banner) = self.banner {
            // HTML of whoever runs this service; the policy keeps scripts and styles out of it.
            let _ = writeln!(body, "<div class=\"banner\">{banner}</div>");
        }
        body.push_str("<div class=\"actions\">\n");
        let label = format!("Sign in with {}", self.provider);
        body.push_str(&form(&format!("{}/start", self.prefix), Some(self.target), &label, "primary"));
        body.push_str("</div>\n");
        if self.local_form {
            body.push_str(&local_form(&format!("{}/sign_in", self.prefix), self.target));
        }
        document("Sign in", &body, self.footer)
    }
}

/// The page that asks whether a sign-out that another site began is wanted.
#[derive(Clone, Debug)]
pub struct SignOutPage<'a> {
    /// The service's own prefix.
    pub prefix: &'a str,
    /// Where the sign-out leads.
    pub target: &'a str,
    /// `footer`.
    pub footer: Option<&'a str>,
}

impl SignOutPage<'_> {
    /// The whole document.
    pub fn render(&self) -> String {
        let body = format!(
            "<h1>Sign out?</h1>\n<p>Another site led you here to sign out. Nothing has changed so far.</p>\n\
             <div class=\"actions\">\n\
             <form method=\"POST\" action=\"{}\"><input type=\"hidden\" name=\"rd\" value=\"{}\">\
             <button type=\"submit\" class=\"primary\">Sign out</button></form>\n{}</div>\n",
            escape(&format!("{}/sign_out", self.prefix)),
            escape(self.target),
            form("/", None, "Stay signed in", "quiet"),
        );
        document("Sign out?", &body, self.footer)
    }
}

fn local_form(action: &str, target: &str) -> String {
    format!(
        "<form method=\"POST\" action=\"{}\"><input type=\"hidden\" name=\"rd\" value=\"{}\">\n\
         <label>User name <input type=\"text\" name=\"username\" autocomplete=\"username\"></label>\n\
         <label>Password <input type=\"password\" name=\"password\" autocomplete=\"current-password\"></label>\n\
         <button type=\"submit\" class=\"primary\">Sign in</button></form>\n",
        escape(action),
        escape(target),
    )
}

fn form(action: &str, rd: Option<&str>, label: &str, class: &str) -> String {
    let hidden = rd
        .map_or_else(String::new, |target| format!("<input type=\"hidden\" name=\"rd\" value=\"{}\">", escape(target)));
    format!(
        "<form method=\"GET\" action=\"{}\">{hidden}<button type=\"submit\" class=\"{class}\">{}</button></form>\n",
        escape(&whole_escapes(action)),
        escape(label),
    )
}

/// A URL in which a `%` that begins no escape is one itself: browsers and servers read anything else
/// differently.
fn whole_escapes(url: &str) -> String {
    let mut parts = url.split('%');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_escape = part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
        whole.push_str(if is_escape { "%" } else { "%25" });
        whole.push_str(part);
    }
    whole
}

fn document(title: &str, body: &str, footer: Option<&str>) -> String {
    let footer = match footer {
        Some("-") => String::new(),
        Some(html) => format!("<footer>{html}</footer>\n"),
        None => "<footer>Conclave</footer>\n".to_owned(),
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<main>\n{body}</main>\n{footer}</body>\n</html>\n",
        escape(title),
    )
}

/// Text made safe between tags and inside double or single quoted attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_page(cause: &str) -> String {
        let page = ErrorPage {
            status: 403,
            title: "Login failed",
            cause,
            advice: "Try again.",
            back: Some("/x?a=\"b\""),
            prefix: Some("/oauth2"),
            footer: None,
        };
        page.render()
    }

    #[test]
    fn text_from_outside_is_escaped() {
        let html = error_page("<script>alert('x')</script>");
        assert!(!html.contains("<script"));
        assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)"));
        assert!(html.contains("value=\"/x?a=&quot;b&quot;\""));
    }

    #[test]
    fn an_error_page_offers_the_two_ways_on() {
        let html = error_page("cause");
        assert!(html.contains("<form method=\"GET\" action=\"/oauth2/sign_in\">"));
        assert!(html.contains("<form method=\"GET\" action=\"/x?a=&quot;b&quot;\">"));
    }

    #[test]
    fn the_policy_names_the_style_in_use() {
        let digest = STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes()));
        assert!(content_security_policy(None).contains(&digest));
        assert!(
            !content_security_policy(None).contains("unsafe") && !content_security_policy(None).contains("img-src")
        );
    }

    #[test]
    fn the_policy_lets_in_the_one_picture() {
        let inline = Logo::Inline("data:image/png;base64,AA==".to_owned());
        assert!(content_security_policy(Some(&inline)).ends_with("; img-src data:"));
        let linked = Logo::Linked("https://cdn.test/a.svg?v=1;script-src *".to_owned());
        assert!(content_security_policy(Some(&linked)).ends_with("; img-src https://cdn.test/a.svg"));
        let page = SignInPage { logo: Some(&inline), ..page() };
        assert!(page.render().contains("<img class=\"logo\" src=\"data:image/png;base64,AA==\" alt=\"\">"));
    }

    #[test]
    fn banner_and_footer_are_html() {
        let html = SignInPage { banner: Some("<i>hello</i>"), footer: Some("<b>foot</b>"), ..page() }.render();
        assert!(html.contains("<i>hello</i>") && html.contains("<footer><b>foot</b></footer>"));
        assert!(!html.contains("<img"));
    }

    fn page() -> SignInPage<'static> {
        SignInPage {
            provider: "P<b>",
            banner: None,
            prefix: "/oauth2",
            target: "/",
            local_form: false,
            footer: Some("-"),
            logo: None,
        }
    }

    #[test]
    fn a_dash_hides_the_footer() {
        let html = page().render();
        assert!(!html.contains("<footer>"));
        assert!(html.contains("Sign in with P&lt;b&gt;"));
    }
}
