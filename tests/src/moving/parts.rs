//! The parts of the move: the old side, the canary beside it, and the replicas that take over.

use std::path::PathBuf;

use super::{CANARY_COOKIE, CANARY_HOST, Journey, STRANGER, Scope, Tally};
use crate::cluster::{Cluster, Options};
use crate::corpus::redis::Redis;
use crate::gateway::{Gateway, Place};
use crate::lone::Lone;
use crate::old_proxy::{Common, Leftovers, OldProxy, program};
use crate::provider::Provider;
use crate::watch::Watch;
use crate::workdir::WorkDir;
use crate::{Failure, ports};

/// A running oauth2-proxy with its Redis.
#[derive(Debug)]
pub(super) struct OldSide {
    pub(super) proxy: OldProxy,
    pub(super) program: PathBuf,
    _redis: Redis,
}

impl Journey {
    /// Starts the provider, the old side, the canary on its own host, and the replicas that nobody is sent to yet.
    pub async fn set_up(scope: Scope) -> Result<Self, Failure> {
        let dir = WorkDir::fresh(&format!("moving_over-{scope:?}"));
        let (app, canary) = (Place::draw(), Place::draw_for(CANARY_HOST));
        let provider = Provider::start(&dir, &format!("{},{}", app.callback(), canary.callback())).await?;
        let registration = provider.registration();
        let options = scope
            .of_conclave()
            .into_iter()
            .fold(Options::default(), |options, domain| options.flag(&format!("--cookie-domain={domain}")));
        let mut cluster = Cluster::lay(&dir, app, &registration, &options).await?;
        cluster.start().await?;
        let common =
            Common { place: app, provider: &registration, secret: &cluster.secret, domain: scope.of_the_old() };
        let old = match program() {
            Some(program) => Some(OldSide::start(&dir, program, common).await?),
            None => None,
        };
        let beside = Lone::start(&dir, &registration, &canary_flags(app, canary, scope)).await?;
        let _canary_gateway = Gateway::start(&dir, canary, &[beside.http]).await?;
        let first = old.as_ref().map_or(beside.http, |old| old.proxy.http);
        let gateway = Gateway::start(&dir, app, &[first]).await?;
        let watch = Watch::begin();
        watch.phase("before");
        watch.add(STRANGER, app, "");
        watch.add(STRANGER, canary, "");
        let (recorded, tally) = (Leftovers::recorded()?, Tally::default());
        Ok(Self {
            watch,
            gateway,
            _canary_gateway,
            old,
            beside,
            cluster,
            provider,
            app,
            canary,
            scope,
            recorded,
            tally,
            dir,
        })
    }
}

impl OldSide {
    async fn start(dir: &WorkDir, program: PathBuf, common: Common<'_>) -> Result<Self, Failure> {
        let port = ports::free();
        let redis = Redis::start(port);
        let store =
            ["--session-store-type=redis".to_owned(), format!("--redis-connection-url=redis://127.0.0.1:{port}")];
        let proxy = OldProxy::start("oauth2-proxy", dir, &program, common, &store).await?;
        Ok(Self { proxy, program, _redis: redis })
    }
}

/// No redirect URL: the canary serves its own host and, for a while, the app's.
fn canary_flags(app: Place, canary: Place, scope: Scope) -> Vec<String> {
    let mut flags = vec![
        format!("--cookie-name={CANARY_COOKIE}"),
        format!("--whitelist-domain={}", app.authority()),
        format!("--whitelist-domain={}", canary.authority()),
        "--scope=openid email profile groups".to_owned(),
        "--set-xauthrequest=true".to_owned(),
        "--reverse-proxy=true".to_owned(),
        "--gateway=ingress-nginx".to_owned(),
        "--trusted-proxy-ip=127.0.0.0/8".to_owned(),
    ];
    flags.extend(scope.of_conclave().map(|domain| format!("--cookie-domain={domain}")));
    flags
}
