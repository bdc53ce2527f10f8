//! The pages: who is logged in, which replica said so, and how the cluster fares.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use futures::future::join_all;

use super::buttons::{self, Back};
use super::check::{self, Checked, Person, Verdict};
use super::cluster::{self, State, Status};
use super::{CLUSTER_PAGE, Demo, FRAGMENT, SCRIPT};
use crate::dev::fleet::Life;
use crate::dev::html::{Escaped, Page};

/// Without scripts the page reloads itself.
const HEAD: &str = "<noscript><meta http-equiv=\"refresh\" content=\"3\"></noscript>\n";

/// What the check leads to, as nginx would have it.
pub(super) async fn answer(demo: &Demo, checked: Option<Checked>, cookies: &str, uri: &str) -> HttpResponse {
    let Some(checked) = checked else {
        let text = "No replica runs. Start one below: everything that was acknowledged is still there.";
        return trouble(demo, "Nobody answers", text, cookies).await;
    };
    let replica = checked.replica + 1;
    let mut response = match &checked.verdict {
        Verdict::Passed(person) => {
            let body = format!("{}\n{}", hero(demo, person, &checked, uri), cluster(demo, cookies, Back::App).await);
            page("Conclave demonstration", &body).respond(StatusCode::OK)
        }
        Verdict::SignIn => HttpResponse::Found().insert_header((header::LOCATION, demo.sign_in_url(uri))).finish(),
        Verdict::Forbidden => {
            let text = format!("Replica {replica} knows who you are, and a rule refuses.");
            trouble(demo, "Not for you", &text, cookies).await
        }
        Verdict::CannotKnow => {
            let text = format!(
                "Replica {replica} cannot know whether your login still stands, and says so instead of logging you \
                 out: your cookie is untouched. Start a second replica below."
            );
            trouble(demo, "Not enough replicas", &text, cookies).await
        }
        Verdict::Odd(status) => {
            trouble(demo, "Something is wrong", &format!("Replica {replica} answered {status}."), cookies).await
        }
        Verdict::Silent => {
            let text = format!("Replica {replica} runs but does not answer yet.");
            trouble(demo, "Just a moment", &text, cookies).await
        }
    };
    for value in &checked.set_cookie {
        if let Ok(value) = header::HeaderValue::from_str(value) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    response
}

/// The cluster for whoever is not logged in.
pub(super) async fn open_cluster(http: HttpRequest, demo: web::Data<Demo>) -> HttpResponse {
    let body = format!(
        "<section class=\"card hero\"><div><h1>The cluster</h1>\
         <p class=\"soft\">This page needs no login. The <a href=\"/\">demo app</a> does.</p></div></section>\n{}",
        cluster(&demo, &check::cookies(&http), Back::Cluster).await
    );
    page("Cluster · Conclave demonstration", &body).respond(StatusCode::OK)
}

/// Where signing out ends.
pub(super) async fn signed_out() -> HttpResponse {
    let body = format!(
        "<main class=\"card narrow\"><h1>Signed out</h1>\
         <p class=\"soft\">Your session has ended on every replica.</p>\
         <p class=\"row\"><a class=\"button primary\" href=\"/\">Log in again</a> \
         <a class=\"button\" href=\"{CLUSTER_PAGE}\">See the cluster</a></p></main>"
    );
    Page { title: "Signed out · Conclave demonstration", class: "center", head: "", body: &body }
        .respond(StatusCode::OK)
}

/// The part that changes, for the script.
pub(super) async fn fragment(
    http: HttpRequest,
    demo: web::Data<Demo>,
    query: web::Query<FragmentQuery>,
) -> HttpResponse {
    let cards = cards(&demo, &check::cookies(&http), query.back).await;
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(cards)
}

/// For which page the fragment is.
#[derive(serde::Deserialize)]
pub(super) struct FragmentQuery {
    #[serde(default)]
    back: Back,
}

async fn trouble(demo: &Demo, title: &str, text: &str, cookies: &str) -> HttpResponse {
    let body = format!(
        "<section class=\"card hero\"><div><h1>{}</h1><p class=\"soft\">{}</p></div>\
         <p class=\"row\"><a class=\"button primary\" href=\"/\">Try again</a></p></section>\n{}",
        Escaped(title),
        Escaped(text),
        cluster(demo, cookies, Back::App).await
    );
    page(title, &body).respond(StatusCode::SERVICE_UNAVAILABLE)
}

fn page<'p>(title: &'p str, body: &'p str) -> Page<'p> {
    Page { title, class: "app", head: HEAD, body }
}

/// Who is logged in and who said so.
fn hero(demo: &Demo, person: &Person, checked: &Checked, uri: &str) -> String {
    let name = person.name();
    let initial: String = name.chars().take(1).flat_map(char::to_uppercase).collect();
    let groups: String =
        person.groups.iter().map(|group| format!("<span class=\"chip\">{}</span>", Escaped(group))).collect();
    let millis = checked.took.as_secs_f64() * 1000.0;
    format!(
        "<header class=\"brand\"><span>Conclave demonstration</span><code>{uri}</code></header>\n\
         <section class=\"card hero\">\n<div class=\"person\"><span class=\"avatar\" aria-hidden=\"true\">{initial}</span>\
         <div><p class=\"eyebrow\">Logged in as</p><h1>{name}</h1>\
         <p class=\"soft\">{email} {groups}</p></div></div>\n\
         <div class=\"verdict\"><p class=\"eyebrow\">This request was let through by</p>\
         <p class=\"big\">Replica {replica} <small>in {millis:.1} ms</small></p>\
         <p class=\"row\"><a class=\"button primary\" href=\"/\">Ask the next replica</a> \
         <a class=\"button\" href=\"{sign_out}\">Sign out</a></p></div>\n</section>",
        uri = Escaped(uri),
        initial = Escaped(&initial),
        name = Escaped(name),
        email = Escaped(&person.email),
        replica = checked.replica + 1,
        sign_out = Escaped(&demo.sign_out_url()),
    )
}

/// The cluster with its explanation; the script draws the cards again.
async fn cluster(demo: &Demo, cookies: &str, back: Back) -> String {
    format!(
        "<section id=\"cluster\" data-source=\"{FRAGMENT}?back={back}\" aria-label=\"Cluster\">{cards}</section>\n\
         <section class=\"card notes\"><h2>Things to try</h2><ul>\
         <li><b>Stop any one replica</b>, the leader too: you stay logged in, and new logins work within a second or so.</li>\
         <li><b>Stop two.</b> The third goes on for ten seconds, then answers 503, and your cookie stays. Start one: you are back.</li>\
         <li><b>Start a replica again</b>: it catches up before it answers, and honours your login.</li>\
         <li><b>Sign out</b> and see every replica refuse at once.</li></ul></section>\n\
         <script src=\"{SCRIPT}\" defer></script>",
        back = back.name(),
        cards = cards(demo, cookies, back).await,
    )
}

async fn cards(demo: &Demo, cookies: &str, back: Back) -> String {
    let states = cluster::look(demo).await;
    let asked = states.iter().enumerate().map(|(index, state)| async move {
        match state.life {
            Life::Running => Some(check::ask(demo, index, cookies, "/").await.verdict),
            Life::Stopped | Life::Ended => None,
        }
    });
    let verdicts = join_all(asked).await;
    let leader = cluster::leader(demo, &states);
    let newest =
        states.iter().filter_map(|state| state.status.as_ref()).map(|status| status.last_log).max().unwrap_or(0);
    let term = states.iter().filter_map(|state| state.status.as_ref()).map(|status| status.term).max().unwrap_or(0);
    let summary = match leader {
        Some(index) => format!("Replica {} leads in term {term}; the log holds {newest} entries.", index + 1),
        None => "Nobody leads at the moment.".to_owned(),
    };
    let cards: String = states
        .iter()
        .zip(&verdicts)
        .enumerate()
        .map(|(index, (state, verdict))| {
            Card { demo, index, state, verdict: verdict.as_ref(), leads: leader == Some(index), newest, back }.render()
        })
        .collect();
    format!("<p class=\"summary\" role=\"status\">{summary}</p><div class=\"cards\">{cards}</div>")
}

/// One replica's card.
struct Card<'c> {
    demo: &'c Demo,
    index: usize,
    state: &'c State,
    verdict: Option<&'c Verdict>,
    leads: bool,
    newest: u64,
    back: Back,
}

impl Card<'_> {
    fn render(&self) -> String {
        let (tone, badge) = self.badge();
        let number = self.index + 1;
        let port = self.demo.ports.replicas[self.index].http;
        format!(
            "<article class=\"card replica {tone}\"><header><h2>Replica {number}</h2><span class=\"badge\">{badge}</span></header>\
             <p class=\"soft\"><a href=\"http://localhost:{port}/oauth2/sign_in\">localhost:{port}</a></p>{facts}{button}</article>",
            facts = self.facts(),
            button = self.button(),
        )
    }

    fn badge(&self) -> (&'static str, &'static str) {
        match (self.state.life, &self.state.status) {
            (Life::Stopped, _) => ("off", "stopped"),
            (Life::Ended, _) => ("bad", "ended by itself"),
            (Life::Running, None) => ("wait", "starting"),
            (Life::Running, Some(status)) if !status.ready => ("wait", "not ready"),
            (Life::Running, Some(_)) if self.leads => ("lead", "leader"),
            (Life::Running, Some(_)) => ("good", "follower"),
        }
    }

    fn facts(&self) -> String {
        let Some(status) = &self.state.status else {
            let text = match self.state.life {
                Life::Running => "No answer yet.",
                Life::Stopped => "Killed, as a crash would. Its data is still there.",
                Life::Ended => "See the terminal for its last words.",
            };
            return format!("<p class=\"empty\">{text}</p>");
        };
        let applied = status.applied;
        let newest = self.newest.max(applied).max(1);
        let reasons: String =
            status.reasons.iter().map(|reason| format!("<p class=\"reason\">{}</p>", Escaped(reason))).collect();
        format!(
            "<div class=\"meter\"><label for=\"applied-{number}\">Applied</label><b>{applied}</b>\
             <progress id=\"applied-{number}\" max=\"{newest}\" value=\"{applied}\">{applied} of {newest}</progress></div>\
             <dl><dt>Your login</dt><dd>{login}</dd><dt>Live sessions</dt><dd>{sessions}</dd>\
             <dt>Knowledge</dt><dd>{age}</dd></dl>{reasons}",
            number = self.index + 1,
            login = self.login(),
            sessions = status.sessions,
            age = age(status),
        )
    }

    /// What this replica says of the browser's cookie.
    fn login(&self) -> String {
        let (tone, text) = match self.verdict {
            Some(Verdict::Passed(person)) => {
                return format!("<span class=\"yes\">honoured</span> ({})", Escaped(person.name()));
            }
            Some(Verdict::SignIn) => ("soft", "not logged in"),
            Some(Verdict::Forbidden) => ("no", "refused by a rule"),
            Some(Verdict::CannotKnow) => ("no", "cannot know (503)"),
            Some(Verdict::Odd(_) | Verdict::Silent) | None => ("soft", "no answer"),
        };
        format!("<span class=\"{tone}\">{text}</span>")
    }

    fn button(&self) -> String {
        let (action, label, class) = match self.state.life {
            Life::Running => ("stop", "Stop", "danger"),
            Life::Stopped | Life::Ended => ("start", "Start", "primary"),
        };
        let number = self.index + 1;
        format!(
            "<form method=\"post\" action=\"{path}\"><input type=\"hidden\" name=\"token\" value=\"{token}\">\
             <input type=\"hidden\" name=\"replica\" value=\"{number}\"><input type=\"hidden\" name=\"back\" value=\"{back}\">\
             <button id=\"button-{number}\" class=\"{class}\" name=\"action\" value=\"{action}\" \
             aria-label=\"{label} replica {number}\">{label}</button></form>",
            path = buttons::PATH,
            token = Escaped(&self.demo.button_token),
            back = self.back.name(),
        )
    }
}

/// How old a replica's knowledge is, in whole seconds so that the page does not flicker.
fn age(status: &Status) -> String {
    match status.fresh_age_ms {
        None => "none yet".to_owned(),
        Some(millis) if millis < 2000 => "fresh".to_owned(),
        Some(millis) => format!("{} s old", millis / 1000),
    }
}
