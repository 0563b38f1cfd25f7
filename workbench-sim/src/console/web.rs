//! `curl`, as far as one looks at a server with it, and reading answers of servers within bounds.

use reqwest::Response;
use sim_kit::http_client::Link;
use url::Url;

use super::shell::Interpreter;

/// Largest answer read.
pub(super) const LARGEST_ANSWER: usize = 8 * 1024 * 1024;

/// The body of an answer, if it is not too large.
pub(super) async fn body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error.to_string())? {
        bytes.extend(&chunk);
        if bytes.len() > LARGEST_ANSWER {
            return Err(format!("the answer is larger than {LARGEST_ANSWER} bytes"));
        }
    }
    Ok(bytes)
}

impl Interpreter {
    /// The role of the server at `url`, as far as the settings tell.
    pub(super) fn peer_of(&self, url: &Url) -> &'static str {
        let config = self.app.config();
        let same = |other: Option<&Url>| other.is_some_and(|other| other.origin() == url.origin());
        if same(config.connect.as_ref().map(|connect| &connect.url)) {
            "connect"
        } else if same(config.python_index.as_ref()) || same(config.cran.as_ref()) {
            "package-manager"
        } else {
            "other"
        }
    }

    /// Answers with curl's exit codes: 3 for a bad URL, 7 when there is no connection, 22 for an error status with `-f`.
    pub(super) async fn curl(&mut self, words: &[&str]) -> i32 {
        let (mut head, mut include, mut fail, mut file, mut url) = (false, false, false, None, None);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "-I" | "--head" => head = true,
                "-i" | "--include" => include = true,
                "-f" | "--fail" => fail = true,
                "-s" | "-S" | "-sS" | "-L" | "-sL" | "--silent" | "--location" => {}
                "-fsSL" | "-sf" | "-fs" => fail = true,
                "-o" | "--output" => file = words.next().copied(),
                option if option.starts_with('-') => {
                    self.error(format!("curl: option {option}: not in this simulated console"));
                    return 2;
                }
                other => url = Some(other),
            }
        }
        let Some(Ok(url)) =
            url.map(|url| if url.contains("://") { url.parse() } else { format!("http://{url}").parse::<Url>() })
        else {
            self.error("curl: (3) give one URL");
            return 3;
        };
        let link = Link::new(self.app.world(), self.peer_of(&url));
        let client = link.client();
        let request = if head { client.head(url) } else { client.get(url) };
        let response = match link.send(request.header("User-Agent", "curl/8 (simulated)")).await {
            Ok(response) => response,
            Err(error) => {
                self.error(format!("curl: (7) {error}"));
                return 7;
            }
        };
        let status = response.status();
        if fail && status.as_u16() >= 400 {
            self.error(format!("curl: (22) The requested URL returned error: {}", status.as_u16()));
            return 22;
        }
        if head || include {
            let mut text = format!("HTTP/1.1 {status}\n");
            for (name, value) in response.headers() {
                text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
            }
            self.line(text);
        }
        if head {
            return 0;
        }
        match body(response).await {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                match file {
                    Some(file) => {
                        match self.path(file).and_then(|path| std::fs::write(path, bytes).map_err(|e| e.to_string())) {
                            Ok(()) => 0,
                            Err(why) => {
                                self.error(format!("curl: (23) {file}: {why}"));
                                23
                            }
                        }
                    }
                    None => {
                        self.out(&text);
                        0
                    }
                }
            }
            Err(why) => {
                self.error(format!("curl: (56) {why}"));
                56
            }
        }
    }
}
