//! Which resource a target is to real servers, held against what opening rules read: whatever a rule opens is one
//! resource to all of them, and one that the rule opens.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use conclave_proto::forwarded::{OpeningFacts, OpeningUri};
use conclave_proto::policy::OpeningRules;
use conclave_tests::Failure;
use conclave_tests::gateway::{Gateway, Place};
use conclave_tests::lone::{Lone, nobody};
use conclave_tests::raw::exchange;
use conclave_tests::readers::{Reader, Readers};
use conclave_tests::report::Scenario;
use conclave_tests::spoofs::OUTSIDER;
use conclave_tests::uris::{self, Clean};
use conclave_tests::workdir::WorkDir;
use futures::stream::{self, StreamExt};

/// Random targets of a full run, besides the listed ones.
const RANDOM: usize = 6_000;

/// Fewer than this many clean targets would not show that rules still serve.
const LEAST_CLEAN: usize = 500;

/// Fewer than this many targets that servers read differently would show nothing about those.
const LEAST_DIFFERENT: usize = 200;

/// Requests under way at once, at all servers together.
const AT_ONCE: usize = 16;

/// nginx answers within its upstream's time.
const PATIENCE: Duration = Duration::from_secs(20);

/// An opening rule, and what its author means by it, in words of another program than the one that is tested.
struct Rule {
    text: &'static str,
    is_meant: fn(&str) -> bool,
}

const RULES: [Rule; 5] = [
    Rule { text: "^/", is_meant: |resource| resource.starts_with('/') },
    Rule { text: "^/open", is_meant: |resource| resource.starts_with("/open") },
    Rule { text: "GET=^/open$", is_meant: |resource| resource == "/open" },
    Rule { text: "\\.css$", is_meant: |resource| resource.ends_with(".css") },
    Rule { text: "!=^/api/", is_meant: |resource| !resource.starts_with("/api/") },
];

/// Those of [`RULES`] that are there for the clean targets.
const FOR_CLEAN: [usize; 2] = [0, 1];

impl Rule {
    fn read(&self) -> OpeningRules {
        OpeningRules::parse(&[], &[self.text], false, &[]).expect("a rule")
    }
}

fn opens(rules: &OpeningRules, target: &str) -> bool {
    let uri = Some(OpeningUri { text: target, reported: true });
    rules.open(&OpeningFacts { method: Some("GET"), uri, client: None })
}

/// What one server makes of a target, as text; the two differences that a rule allows for are taken out of it where
/// `folded`: slashes kept encoded, and raw bytes beyond ASCII taken for Latin-1.
fn as_text(target: &str, resource: &[u8], folded: bool) -> String {
    let text = String::from_utf8_lossy(resource).into_owned();
    if !folded {
        return text;
    }
    let raw = target.chars().filter(|letter| !letter.is_ascii());
    let text = raw.fold(text, |text, letter| {
        let letter = letter.to_string();
        let latin: String = letter.bytes().map(char::from).collect();
        text.replace(&latin, &letter)
    });
    text.replace("%2f", "/").replace("%2F", "/")
}

/// A target with what each server made of it.
struct Resolved {
    target: String,
    by: Vec<(&'static str, Vec<u8>)>,
}

impl Resolved {
    async fn ask(readers: &[Reader], target: String) -> Result<Self, Failure> {
        let mut by = Vec::with_capacity(readers.len());
        for reader in readers {
            let resource = reader.resolve(&target).await.map_err(|error| format!("{}: {error}", reader.name))?;
            by.extend(resource.map(|resource| (reader.name, resource)));
        }
        Ok(Self { target, by })
    }

    fn resources(&self) -> BTreeSet<String> {
        self.by.iter().map(|(_, resource)| as_text(&self.target, resource, true)).collect()
    }

    /// Why a rule that opens this target must not.
    fn complaint(&self, rule: &Rule) -> Option<String> {
        let foreign = self.by.iter().find(|(_, resource)| !(rule.is_meant)(&as_text(&self.target, resource, false)));
        if let Some((server, resource)) = foreign {
            let resource = String::from_utf8_lossy(resource);
            return Some(format!("{} opens {:?}, to {server} {resource:?}", rule.text, self.target));
        }
        let resources = self.resources();
        (resources.len() > 1).then(|| format!("{} opens {:?}: {resources:?}", rule.text, self.target))
    }
}

async fn resolve_all(readers: &[Reader], targets: Vec<String>) -> Result<Vec<Resolved>, Failure> {
    let asked = stream::iter(targets.into_iter().map(|target| Resolved::ask(readers, target)));
    asked.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.into_iter().collect()
}

/// The files that Go serves: those of the rules, and those that need a login.
fn lay_files(dir: &WorkDir) -> Result<PathBuf, Failure> {
    let root = dir.sub("files");
    for (path, text) in
        [("open", "for everyone"), ("a.css", "for everyone"), ("secret/flag", FLAG), ("api/users", FLAG)]
    {
        let file = root.join(path);
        std::fs::create_dir_all(file.parent().ok_or("a path without a directory")?)?;
        std::fs::write(file, text)?;
    }
    Ok(root)
}

/// What stands in each file that needs a login.
const FLAG: &str = "for people who are logged in";

/// Promise P9, S-6 and S-10.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_resource() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("one_resource", RANDOM, 1_000, "random targets");
    let dir = WorkDir::fresh("one_resource");
    let whole = scenario.count() == RANDOM;
    let servers = Readers::start(&dir, &lay_files(&dir)?, whole).await?;
    scenario.figure("ways of reading", servers.list.iter().map(|one| one.name).collect::<Vec<_>>().join(", "));

    let mut targets = Vec::new();
    for (shown, hidden) in [("/open", "/secret/x"), ("/a.css", "/admin/users"), ("/x", "/api/users")] {
        targets.extend(uris::disguises(shown, hidden));
    }
    scenario.figure("listed targets", targets.len());
    for _ in 0..scenario.count() {
        targets.push(uris::random(&mut scenario.scale));
    }
    // Blanks would end the target.
    targets.retain(|target| !target.contains(' '));
    let rules: Vec<_> = RULES.iter().map(|rule| (rule, rule.read())).collect();
    let resolved = resolve_all(&servers.list, targets).await?;
    let (mut opened, mut different, mut wrong) = (0, 0, Vec::new());
    for one in &resolved {
        different += usize::from(one.resources().len() > 1);
        for (rule, _) in rules.iter().filter(|(_, read)| opens(read, &one.target)) {
            opened += 1;
            wrong.extend(one.complaint(rule));
        }
    }
    scenario.figure("read differently", different);
    assert!(wrong.is_empty(), "{} of {opened} opened:\n{}", wrong.len(), wrong.join("\n"));
    assert!(different >= LEAST_DIFFERENT, "only {different} targets are read differently");
    scenario.held("opened by a rule, and one resource everywhere", opened);
    clean_targets(&mut scenario, &servers, &rules).await?;
    scenario.passed();
    Ok(())
}

/// Each clean target is opened, and each server takes it for the resource that it is.
async fn clean_targets(
    scenario: &mut Scenario,
    servers: &Readers,
    rules: &[(&Rule, OpeningRules)],
) -> Result<(), Failure> {
    let clean = uris::clean();
    let mut wrong = Vec::new();
    for Clean { target, .. } in &clean {
        let closed = FOR_CLEAN.iter().map(|at| &rules[*at]).filter(|(_, read)| !opens(read, target));
        wrong.extend(closed.map(|(rule, _)| format!("{} does not open {target:?}", rule.text)));
    }
    let resolved = resolve_all(&servers.list, clean.iter().map(|one| one.target.clone()).collect()).await?;
    for one in &resolved {
        let expected = clean.iter().find(|clean| clean.target == one.target).ok_or("a clean target")?.resource;
        let right = one.by.iter().filter(|(_, resource)| as_text(&one.target, resource, true) == expected).count();
        if right != servers.list.len() {
            wrong.push(format!("{:?} is {:?}, not {expected:?}", one.target, one.by));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(clean.len() >= LEAST_CLEAN);
    scenario.held("clean targets, opened and one resource everywhere", clean.len());
    Ok(())
}

/// A rule with what it is there for, and what no rule opens, in [`lay_files`].
struct Guarded {
    flag: &'static str,
    shown: &'static str,
}

const GUARDED: [Guarded; 3] = [
    Guarded { flag: "--skip-auth-route=GET=^/open$", shown: "/open" },
    Guarded { flag: "--skip-auth-regex=\\.css$", shown: "/a.css" },
    Guarded { flag: "--skip-auth-route=!=^/(secret|api)/", shown: "/open" },
];

/// What needs a login under each of [`GUARDED`].
const HIDDEN: [&str; 2] = ["/secret/flag", "/api/users"];

/// Promise P9: through nginx as ingress-nginx, with Go's file server and Tomcat as the apps behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_resource_through_nginx() -> Result<(), Failure> {
    let mut scenario = Scenario::begin("one_resource.nginx", GUARDED.len(), GUARDED.len(), "rules");
    let dir = WorkDir::fresh("one_resource_through_nginx");
    let whole = scenario.scale.count(RANDOM, 0) == RANDOM;
    let servers = Readers::start(&dir, &lay_files(&dir)?, whole).await?;
    let (mut tried, mut tricks) = (0, 0);
    for (at, guarded) in GUARDED.iter().enumerate() {
        let dir = WorkDir::fresh(&format!("one_resource_through_nginx-{at}"));
        let place = Place::draw().before(servers.files);
        let flags = [guarded.flag, "--reverse-proxy=true", "--gateway=nginx", "--trusted-proxy-ip=127.0.0.1"];
        let service = Lone::start(&dir, &nobody(), &flags.map(str::to_owned)).await?;
        let gateway = Gateway::start(&dir, place, &[service.http]).await?;
        let files = guarded_files(guarded, place, &servers).await?;
        (tried, tricks) = (tried + files.0, tricks + files.1);
        drop(gateway);
        let Some(tomcat) = servers.tomcat else { continue };
        let place = Place::draw().before(tomcat);
        let _gateway = Gateway::start(&dir, place, &[service.http]).await?;
        let pages = guarded_servlet(guarded, place, &servers).await?;
        (tried, tricks) = (tried + pages.0, tricks + pages.1);
    }
    scenario.figure("apps", if servers.tomcat.is_some() { "Go FileServer, Tomcat" } else { "Go FileServer" });
    scenario.figure("of them, given away by an app that is asked past the gateway", tricks);
    assert!(tricks >= 50, "only {tricks} tricks fool the apps that are asked past the gateway");
    scenario.held("disguises refused through nginx", tried);
    scenario.passed();
    Ok(())
}

/// No disguise gets a file, clean requests do. Returns how many were tried, and
/// how many get it from the app itself.
async fn guarded_files(guarded: &Guarded, place: Place, servers: &Readers) -> Result<(usize, usize), Failure> {
    let past = Reader::new("Go FileServer", servers.files);
    let is_flag = |answer: &Option<Vec<u8>>| answer.as_deref().is_some_and(|body| body == FLAG.as_bytes());
    let counts = hold(guarded, place, past, is_flag).await?;
    for query in ["", "?", "?a;b", "?next=%23top", "?x=\\y", "?u=//a/../b", "?n=%E9"] {
        let target = format!("{}{query}", guarded.shown);
        let answer = through(place).resolve(&target).await?;
        assert_eq!(answer.as_deref(), Some(&b"for everyone"[..]), "{} opens {target:?}", guarded.flag);
    }
    Ok(counts)
}

/// The same with a servlet container, which answers with the resource that it found.
async fn guarded_servlet(guarded: &Guarded, place: Place, servers: &Readers) -> Result<(usize, usize), Failure> {
    let past = Reader::new("Tomcat", servers.tomcat.ok_or("Tomcat does not run")?);
    let hidden = |answer: &Option<Vec<u8>>| {
        answer.as_deref().is_some_and(|body| HIDDEN.iter().any(|one| body == one.as_bytes()))
    };
    let counts = hold(guarded, place, past, hidden).await?;
    let answer = through(place).resolve(guarded.shown).await?;
    assert_eq!(answer.as_deref(), Some(guarded.shown.as_bytes()), "{} opens", guarded.flag);
    Ok(counts)
}

fn through(place: Place) -> Reader {
    Reader::new("through nginx", place.address())
}

/// Sends every disguise through the gateway and to the app itself.
async fn hold(
    guarded: &Guarded,
    place: Place,
    past: Reader,
    is_hidden: impl Fn(&Option<Vec<u8>>) -> bool,
) -> Result<(usize, usize), Failure> {
    let login = format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", HIDDEN[0], place.authority());
    let heard = exchange(OUTSIDER, place.address(), login.as_bytes(), PATIENCE).await?;
    assert_eq!(heard.statuses(), [302], "{} asks for a login", guarded.flag);
    let targets: Vec<String> = HIDDEN.iter().flat_map(|hidden| uris::disguises(guarded.shown, hidden)).collect();
    let tried = targets.len();
    let asked = stream::iter(targets).map(|target| async move {
        let answers = (through(place).resolve(&target).await?, past.resolve(&target).await?);
        Ok::<_, Failure>((target, answers))
    });
    let mut tricks = 0;
    for answer in asked.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await {
        let (target, (through, past)) = answer?;
        assert!(!is_hidden(&through), "{} gives {target:?} away", guarded.flag);
        tricks += usize::from(is_hidden(&past));
    }
    Ok((tried, tricks))
}
