//! The yardstick: an actix-web handler that answers with the same status and headers, and does
//! nothing else. Runs as a process of its own.

use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{App, HttpResponse, HttpServer, web};

use crate::Failure;

/// The hidden subject that starts it: port, path, status, then `name: value` of each header.
pub const COMMAND: &str = "bare-server";

/// As the service keeps its connections.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

#[derive(Clone)]
struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
}

async fn answer(answer: web::Data<Answer>) -> HttpResponse {
    let mut response = HttpResponse::new(answer.status);
    for (name, value) in &answer.headers {
        response.headers_mut().append(name.clone(), value.clone());
    }
    response
}

/// Serves until it is killed.
pub fn serve(args: &[String]) -> Result<(), Failure> {
    let [port, path, status, headers @ ..] = args else {
        return Err("bare-server PORT PATH STATUS [HEADER...]".into());
    };
    let answer_with = Answer {
        status: StatusCode::from_u16(status.parse()?)?,
        headers: headers.iter().map(|line| header(line)).collect::<Result<_, _>>()?,
    };
    let (port, path) = (port.parse::<u16>()?, path.clone());
    actix_rt::System::new().block_on(async move {
        let data = web::Data::new(answer_with);
        HttpServer::new(move || App::new().app_data(data.clone()).route(&path, web::get().to(answer)))
            .workers(1)
            .keep_alive(KEEP_ALIVE)
            .tcp_nodelay(true)
            .bind((Ipv4Addr::LOCALHOST, port))?
            .run()
            .await
    })?;
    Ok(())
}

fn header(line: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let (name, value) = line.split_once(':').ok_or("a header is NAME: VALUE")?;
    Ok((HeaderName::from_str(name)?, HeaderValue::from_str(value.trim())?))
}
