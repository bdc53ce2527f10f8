//! `/oauth2/sign_in`: the page with the sign-in button, or straight to the provider.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use conclave_proto::fetch_metadata::Cause;
use conclave_proto::redirect::ReturnTo;

use super::Worker;
use super::extract::{Headers, Parameters, Visit, cookie_line};
use super::local_sign_in::{self, Attempt};
use super::pages::SignInPage;
use super::problem::Problem;
use super::respond;
use super::{sign_out, start};

/// Answers the page, 302 to the provider, or a page that says what is wrong.
pub async fn sign_in(request: HttpRequest, payload: web::Payload, worker: web::Data<Worker>) -> HttpResponse {
    let service = &worker.service;
    let skip_page = service.site.config().skip_provider_button;
    let headers = Headers(request.headers());
    let visit = Visit::read(&request, &headers, service.gateway());
    let cause = service.site.cause(&visit);
    if skip_page && cause == Cause::Background {
        return start::refuse_background();
    }
    let parameters = match Parameters::read_leniently(&request, payload).await {
        Ok(parameters) => parameters,
        Err(invalid) => return respond::failure(&request, &worker, "sign-in", &invalid.into(), "/"),
    };
    let target = service.site.target(&visit, parameters.first("rd"), service.gateway());
    let answer = match local_sign_in::attempt(&request, &worker, &visit, &parameters, &target).await {
        Ok(Attempt::SignedIn(response)) => Ok(response),
        Ok(Attempt::None | Attempt::NoName | Attempt::Wrong) if skip_page && !cause.shows_page() => {
            return start::refuse_background();
        }
        Ok(Attempt::None | Attempt::NoName | Attempt::Wrong) if skip_page => {
            start::begin_asked(&request, &worker, &visit, &target, &start::asked(&request)).await
        }
        Ok(Attempt::None) => page(&request, &worker, &visit, &target, StatusCode::OK).await,
        Ok(Attempt::NoName) => page(&request, &worker, &visit, &target, StatusCode::BAD_REQUEST).await,
        Ok(Attempt::Wrong) => page(&request, &worker, &visit, &target, StatusCode::UNAUTHORIZED).await,
        Err(problem) => Err(problem),
    };
    answer.unwrap_or_else(|problem| respond::failure(&request, &worker, "sign-in", &problem, target.as_str()))
}

/// Showing the page ends the session: who is asked to sign in must not be signed in elsewhere still. Where another
/// site or a page's background asks, nothing is ended: a picture's address must not sign people out.
async fn page(
    request: &HttpRequest,
    worker: &Worker,
    visit: &Visit<'_>,
    target: &ReturnTo,
    status: StatusCode,
) -> Result<HttpResponse, Problem> {
    let site = &worker.service.site;
    if !site.cause(visit).may_end_session() {
        return Ok(respond::form_page(site, status, render(worker, target), &[]));
    }
    sign_out::end_sessions(request, worker).await?;
    let sent = cookie_line(request);
    let mut cookies = site.clear_session(visit.host(), &sent);
    cookies.extend(site.clear_signed_pieces(visit.host(), &sent));
    Ok(respond::form_page(site, status, render(worker, target), &cookies))
}

/// The page as HTML.
pub fn render(worker: &Worker, target: &ReturnTo) -> String {
    let site = &worker.service.site;
    let config = site.config();
    let page = SignInPage {
        provider: &site.provider_config().display_name,
        banner: config.banner.as_deref().filter(|text| *text != "-"),
        prefix: site.prefix(),
        target: target.as_str(),
        local_form: config.local.as_ref().is_some_and(|local| local.show_form),
        footer: config.footer.as_deref(),
        logo: config.logo.as_ref(),
    };
    page.render()
}
