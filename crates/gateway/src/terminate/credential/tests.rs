use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex as Lock};

use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::net::TcpListener;

use super::*;

/// One request, as a token endpoint gets it.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    authorization: String,
    body: String,
}

type Answers = Arc<Lock<VecDeque<(u16, String)>>>;

/// A token endpoint that gives these answers in turn, and no more once they are used up.
async fn endpoint(answers: &[(u16, &str)]) -> (String, Arc<Lock<Vec<Asked>>>, Answers) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let asked = Arc::new(Lock::new(Vec::new()));
    let answers: Answers = Arc::new(Lock::new(
        answers
            .iter()
            .map(|(status, body)| (*status, (*body).to_owned()))
            .collect(),
    ));
    let (log, left) = (Arc::clone(&asked), Arc::clone(&answers));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (log, left) = (Arc::clone(&log), Arc::clone(&left));
            let service = service_fn(move |request: Request<Incoming>| {
                let (log, left) = (Arc::clone(&log), Arc::clone(&left));
                async move {
                    let authorization = request.headers()[AUTHORIZATION].to_str().unwrap().into();
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let body = String::from_utf8(body.to_vec()).unwrap();
                    log.lock().unwrap().push(Asked {
                        authorization,
                        body,
                    });
                    let next = left.lock().unwrap().pop_front();
                    let Some((status, body)) = next else {
                        std::future::pending::<()>().await;
                        unreachable!()
                    };
                    let mut response = hyper::Response::new(Full::new(Bytes::from(body)));
                    *response.status_mut() = StatusCode::from_u16(status).unwrap();
                    let headers = response.headers_mut();
                    headers.insert("location", HeaderValue::from_static("http://127.0.0.1:1/"));
                    Ok::<_, Infallible>(response)
                }
            });
            let io = TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
        }
    });
    (url, asked, answers)
}

fn place(host: &str) -> Endpoint {
    Endpoint {
        host: host.into(),
        port: 443,
        user: String::new(),
        password: None,
        database: String::new(),
        tls: TlsMode::VerifyFull,
        roots: None,
    }
}

fn client(token_url: &str) -> ClientCredentials {
    ClientCredentials {
        token_url: token_url.into(),
        client_id: "bailiwick".into(),
        client_secret: "s3:cr et/+".into(),
        scope: Some("crm.read crm.write".into()),
        resource: Some("https://crm.example/api".into()),
    }
}

fn shown(credential: Credential) -> Result<Shown, CredentialError> {
    let upstream = Upstream {
        credential,
        ..Upstream::default()
    };
    Shown::new("crm", &upstream, &place("crm.example"))
}

fn oauth(token_url: &str) -> Shown {
    shown(Credential::OAuth(client(token_url))).unwrap()
}

async fn applied(shown: &Shown) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        AUTHORIZATION,
        HeaderValue::from_static("Bearer the-agents-own"),
    );
    shown.apply(&mut headers).await.unwrap();
    headers
}

async fn refusal(shown: &Shown) -> String {
    let refused = shown
        .apply(&mut HeaderMap::new())
        .await
        .unwrap_err()
        .to_string();
    assert!(!refused.contains("s3:cr"), "{refused}");
    assert!(refused.starts_with("target `crm`: "), "{refused}");
    refused
}

#[tokio::test]
async fn what_is_configured_takes_the_place_of_what_is_there() {
    let bearer = applied(&shown(Credential::Bearer("t0ken".into())).unwrap()).await;
    assert_eq!(bearer.get_all(AUTHORIZATION).iter().count(), 1);
    assert_eq!(bearer[AUTHORIZATION], "Bearer t0ken");
    assert!(bearer[AUTHORIZATION].is_sensitive());
    assert!(!format!("{bearer:?}").contains("t0ken"));

    let basic = Credential::Basic {
        user: "svc".into(),
        password: "päss:word".into(),
    };
    let basic = applied(&shown(basic).unwrap()).await;
    let both = BASE64_STANDARD.encode("svc:päss:word");
    assert_eq!(basic[AUTHORIZATION], format!("Basic {both}").as_str());

    let header = Credential::Header {
        name: "x-api-key".into(),
        value: "k3y".into(),
    };
    let header = applied(&shown(header).unwrap()).await;
    assert_eq!(header["x-api-key"], "k3y");
    assert!(header["x-api-key"].is_sensitive());

    let in_the_url = Endpoint {
        user: "svc".into(),
        password: Some("pw".into()),
        ..place("crm.example")
    };
    let in_the_url = Shown::new("crm", &Upstream::default(), &in_the_url).unwrap();
    assert_eq!(applied(&in_the_url).await[AUTHORIZATION], "Basic c3ZjOnB3");
}

#[tokio::test]
async fn what_no_header_may_have_is_refused_without_being_told() {
    let bad = [
        Credential::Bearer("to\r\nken".into()),
        Credential::Basic {
            user: "a:b".into(),
            password: "token".into(),
        },
        Credential::Header {
            name: "x api key".into(),
            value: "token".into(),
        },
    ];
    for credential in bad {
        let refused = shown(credential).err().unwrap().to_string();
        assert!(refused.starts_with("target `crm`: "), "{refused}");
        assert!(
            !refused.contains("token") && !refused.contains("ken"),
            "{refused}"
        );
    }
    for url in [
        "http://sso.example/token",
        "ftp://sso.example/token",
        "/token",
        "https://user:pw@sso.example/token",
        "http://127.1/token",
        "not a url",
    ] {
        let refused = shown(Credential::OAuth(client(url)))
            .err()
            .unwrap()
            .to_string();
        assert!(refused.contains("`token_url`"), "{url}: {refused}");
        assert!(!refused.contains("pw"), "{refused}");
    }
}

#[tokio::test]
async fn a_token_is_had_once_for_all_that_need_it_and_again_before_it_expires() {
    let granted = |token: &str, time: u32| {
        format!(
            r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{time},"more":[]}}"#
        )
    };
    let (url, asked, answers) = endpoint(&[(200, &granted("one", 3600))]).await;
    let oauth = Arc::new(oauth(&url));
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let oauth = Arc::clone(&oauth);
        all.spawn(async move { applied(&oauth).await });
    }
    for headers in all.join_all().await {
        assert_eq!(headers[AUTHORIZATION], "Bearer one");
        assert!(headers[AUTHORIZATION].is_sensitive());
    }
    let both = BASE64_STANDARD.encode("bailiwick:s3%3Acr%20et%2F%2B");
    let expected = Asked {
        authorization: format!("Basic {both}"),
        body: "grant_type=client_credentials&scope=crm.read%20crm.write&resource=https%3A%2F%2Fcrm.example%2Fapi".into(),
    };
    assert_eq!(*asked.lock().unwrap(), [expected]);

    // One that the target refuses at once is not had again at once.
    let headers = applied(&oauth).await;
    oauth.refused(&headers).await;
    assert_eq!(applied(&oauth).await[AUTHORIZATION], "Bearer one");
    let How::Token(tokens) = &oauth.how else {
        panic!("no tokens")
    };
    // One that has served for a while is, once, whoever says so.
    if let Kept::Token { since, .. } = &mut *tokens.kept.lock().await {
        *since -= TOKEN_AGAIN_AFTER * 2;
    }
    answers.lock().unwrap().push_back((200, granted("two", 2)));
    oauth.refused(&headers).await;
    oauth.refused(&headers).await;
    assert_eq!(applied(&oauth).await[AUTHORIZATION], "Bearer two");
    oauth.refused(&headers).await;
    assert_eq!(applied(&oauth).await[AUTHORIZATION], "Bearer two");
    // Its 2 s end after 1.5 s.
    answers
        .lock()
        .unwrap()
        .push_back((200, granted("three", 3600)));
    tokio::time::sleep(Duration::from_millis(1600)).await;
    assert_eq!(applied(&oauth).await[AUTHORIZATION], "Bearer three");
    assert_eq!(asked.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn an_endpoint_that_gives_none_is_not_asked_by_everybody_in_turn() {
    let (url, asked, _) = endpoint(&[(401, r#"{"error":"invalid_client"}"#)]).await;
    let oauth = oauth(&url);
    for _ in 0..3 {
        let refused = refusal(&oauth).await;
        assert!(
            refused.contains("check `client_id` and `client_secret`"),
            "{refused}"
        );
        assert!(refused.contains(&url), "{refused}");
    }
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn answers_that_hold_no_token_are_said_to_without_their_words() {
    let long = format!(
        r#"{{"access_token":"{}","token_type":"bearer"}}"#,
        "x".repeat(TOKEN_BYTES_MAX + 1)
    );
    let huge = "x".repeat(TOKEN_ANSWER_BYTES_MAX + 1);
    let answers = [
        (302, "", "a redirect is not followed"),
        (307, "", "a redirect is not followed"),
        (
            200,
            "<html>s3:cr et/+</html>",
            "is not the JSON of RFC 6749",
        ),
        (200, "{}", "is not the JSON of RFC 6749"),
        (
            200,
            r#"{"access_token":"x","token_type":"mac"}"#,
            "not a bearer token",
        ),
        (
            200,
            r#"{"access_token":"","token_type":"bearer"}"#,
            "a token of 0 bytes",
        ),
        (
            200,
            r#"{"access_token":"a\r\nx: b","token_type":"bearer"}"#,
            "no header may have",
        ),
        (
            200,
            r#"{"access_token":"x","token_type":"bearer","expires_in":-1}"#,
            "is no time",
        ),
        (
            200,
            r#"{"access_token":"x","token_type":"bearer","expires_in":1e300}"#,
            "is no time",
        ),
        (200, &long, "a token of 16385 bytes"),
        (200, &huge, "did not come whole"),
        (400, r#"{"error":"invalid_scope"}"#, "`scope` or `resource`"),
        (400, r#"{"error":"s3:cr et/+"}"#, "check `token_url`"),
        (500, "oops s3:cr et/+", "check `token_url`"),
    ];
    for (status, body, expected) in answers {
        let (url, ..) = endpoint(&[(status, body)]).await;
        let refused = refusal(&oauth(&url)).await;
        assert!(refused.contains(expected), "{status} {body:.80}: {refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_hangs_holds_nobody_for_long() {
    let (url, ..) = endpoint(&[]).await;
    let refused = refusal(&oauth(&url)).await;
    assert!(
        refused.contains("no answer within 10 s") || refused.contains("cannot be reached within"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_name_of_a_token_endpoint_may_not_lead_into_a_private_network() {
    // It is this machine's name, so only `http` takes it for meant.
    let refused = refusal(&oauth("https://localhost.:1/token")).await;
    assert!(
        refused.contains("`private = true`") || refused.contains("looked up"),
        "{refused}"
    );
}
