//! Events of `tracing` as oauth2-proxy's text lines: those about people by `auth_logging_format`, all
//! others by `standard_logging_format`.

use std::fmt::{self, Debug, Write};

use conclave_proto::logline::{Field, Template, Values, escape, push_quoted, push_word, quote};
use conclave_proto::time::Clock;
use tracing::field::Visit;
use tracing::{Event, Level, Subscriber, field};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::stamp;
use crate::audit;
use crate::clock::SystemClock;

/// Forms of the two kinds of lines.
pub(super) struct TextLines {
    /// Of lines about people.
    pub auth: Template,
    /// Of all others.
    pub standard: Template,
    /// Local time, not UTC.
    pub local_time: bool,
}

impl<S, N> FormatEvent<S, N> for TextLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let meta = event.metadata();
        let form = if meta.target() == audit::TARGET { &self.auth } else { &self.standard };
        let mut told = Told { level: *meta.level(), ..Told::new(form, self.local_time) };
        if meta.target() == audit::TARGET {
            told.slots = Some(Slots::default());
        }
        event.record(&mut told);
        told.place = meta.file().map(|file| file.rsplit('/').next().unwrap_or(file)).zip(meta.line());
        let mut line = String::with_capacity(256);
        form.render(&told, &mut line);
        line.push('\n');
        writer.write_str(&line)
    }
}

/// What an event says.
struct Told<'t> {
    form: &'t Template,
    local_time: bool,
    level: Level,
    place: Option<(&'t str, u32)>,
    message: String,
    /// Fields that have no place of their own in the line: ` name=value`.
    further: String,
    /// The fields of lines about people that have one.
    slots: Option<Slots>,
}

#[derive(Default)]
struct Slots {
    client: String,
    host: String,
    request_id: String,
    method: String,
    protocol: String,
    user_agent: String,
    user: String,
    email: String,
    status: String,
}

impl<'t> Told<'t> {
    fn new(form: &'t Template, local_time: bool) -> Self {
        let (message, further) = (String::new(), String::new());
        Self { form, local_time, level: Level::INFO, place: None, message, further, slots: None }
    }

    fn slot(&mut self, name: &str) -> Option<&mut String> {
        let host_has_place = self.form.uses(Field::Host);
        let slots = self.slots.as_mut()?;
        match name {
            "client" => Some(&mut slots.client),
            "host" if host_has_place => Some(&mut slots.host),
            "request_id" => Some(&mut slots.request_id),
            "method" => Some(&mut slots.method),
            "protocol" => Some(&mut slots.protocol),
            "user_agent" => Some(&mut slots.user_agent),
            "user" => Some(&mut slots.user),
            "email" => Some(&mut slots.email),
            "status" => Some(&mut slots.status),
            _ => None,
        }
    }

    fn record(&mut self, name: &str, value: &str) {
        if name == "message" {
            value.clone_into(&mut self.message);
        } else if let Some(slot) = self.slot(name) {
            value.clone_into(slot);
        } else {
            self.further.push(' ');
            self.further.push_str(name);
            self.further.push('=');
            if value.is_empty() || value.contains(|sign: char| sign.is_whitespace() || matches!(sign, '"' | '=')) {
                quote(value, &mut self.further);
            } else {
                self.further.push_str(&escape(value));
            }
        }
    }
}

impl Visit for Told<'_> {
    fn record_str(&mut self, field: &field::Field, value: &str) {
        self.record(field.name(), value);
    }

    fn record_debug(&mut self, field: &field::Field, value: &dyn Debug) {
        self.record(field.name(), &format!("{value:?}"));
    }
}

impl Values for Told<'_> {
    fn append(&self, field: Field, out: &mut String) {
        let slot = |of: fn(&Slots) -> &String| self.slots.as_ref().map_or("", |slots| of(slots));
        match field {
            Field::Timestamp => stamp::line(SystemClock.now(), self.local_time, out),
            Field::File => match self.place {
                Some((file, line)) => {
                    let _ = write!(out, "{file}:{line}");
                }
                None => out.push('-'),
            },
            Field::Message => {
                if self.level != Level::INFO {
                    let _ = write!(out, "{}: ", self.level);
                }
                out.push_str(&escape(&self.message));
                out.push_str(&self.further);
            }
            Field::Client => push_word(slot(|slots| &slots.client), out),
            Field::Host => push_word(slot(|slots| &slots.host), out),
            Field::RequestId => push_word(slot(|slots| &slots.request_id), out),
            Field::RequestMethod => push_word(slot(|slots| &slots.method), out),
            Field::Protocol => push_word(slot(|slots| &slots.protocol), out),
            Field::UserAgent => push_quoted(slot(|slots| &slots.user_agent), out),
            Field::Status => push_word(slot(|slots| &slots.status), out),
            Field::Username => {
                let email = slot(|slots| &slots.email);
                let name = if matches!(email, "" | "-") { slot(|slots| &slots.user) } else { email };
                push_word(name, out);
            }
            // Of request lines, which are not events.
            Field::RequestDuration | Field::RequestUri | Field::ResponseSize | Field::StatusCode | Field::Upstream => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use conclave_proto::logline::LineKind;
    use tracing::{info, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            io::Write::write(&mut *self.0.lock().expect("one thread"), bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(auth: &str, standard: &str, say: impl FnOnce()) -> String {
        let kept = Kept::default();
        let sink = kept.clone();
        let form = TextLines {
            auth: Template::parse(auth, LineKind::Auth).expect("sound"),
            standard: Template::parse(standard, LineKind::Standard).expect("sound"),
            local_time: false,
        };
        let subscriber = tracing_subscriber::fmt().event_format(form).with_writer(move || sink.clone()).finish();
        tracing::subscriber::with_default(subscriber, say);
        String::from_utf8(kept.0.lock().expect("one thread").clone()).expect("text")
    }

    #[test]
    fn lines_about_people_have_oauth2_proxys_form() {
        let form = "{{.Client}} - {{.RequestID}} - {{.Username}} [{{.Status}}] {{.Message}}";
        let text = lines(form, "{{.Message}}", || {
            info!(target: audit::TARGET, client = "10.0.0.1", request_id = "a\nb", user = "u", email = "a@x.test",
                status = "AuthSuccess", host = "app.test", reason = "two words", "logged in");
            info!(target: audit::TARGET, email = "-", user = "-", status = "AuthFailure", "refused");
        });
        let wanted = "10.0.0.1 - a\\nb - a@x.test [AuthSuccess] logged in host=app.test reason=\"two words\"\n\
                      - - - - - [AuthFailure] refused\n";
        assert_eq!(text, wanted);
    }

    #[test]
    fn log_words_no_field_is_forged_by_another() {
        let forged = "1 - admin@corp.test [2026/11/27 06:20:59] [AuthSuccess] logged";
        let form =
            "{{.Client}} - {{.RequestID}} - {{.Username}} {{.Host}} {{.RequestMethod}} [{{.Status}}] {{.Message}}";
        let text = lines(form, "{{.Message}}", || {
            info!(target: audit::TARGET, client = forged, request_id = forged, user = forged, host = forged,
                method = forged, status = "AuthFailure", path = "a\u{a0}b=\"", "refused");
        });
        assert_eq!(text.matches(' ').count(), form.matches(' ').count() + 1, "{text}");
        assert!(text.ends_with("[AuthFailure] refused path=\"a\u{a0}b=\\\"\"\n"), "{text}");
    }

    #[test]
    fn other_lines_say_where_they_were_written() {
        let text = lines("", "[{{.Timestamp}}] [{{.File}}] {{.Message}}", || {
            warn!(peer = %"b\u{1b}[0m", count = 3, "lost a \n peer");
        });
        let (time, rest) = text.split_at(22);
        assert!(time.starts_with("[20") && time.ends_with("] "), "{time}");
        assert!(rest.starts_with("[text.rs:"), "{rest}");
        assert!(rest.ends_with("] WARN: lost a \\n peer peer=b\\x1b[0m count=3\n"), "{rest}");
    }
}
