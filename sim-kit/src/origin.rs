//! Absolute URLs built from the request, so that they are right behind proxies and port mappings.

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;

/// Where the client thinks this server is: `http://localhost:3939` and a path prefix such as `/rsc`, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    base: String,
}

impl Origin {
    /// From `X-Forwarded-Proto`, `X-Forwarded-Host`, `X-Forwarded-Prefix` and `Host`.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let text = |name: &str| {
            let value = headers.get(name)?.to_str().ok()?;
            // A chain of proxies appends; the first is the client's.
            Some(value.split(',').next().unwrap_or_default().trim()).filter(|v| !v.is_empty())
        };
        let scheme = text("x-forwarded-proto").filter(|s| matches!(*s, "http" | "https")).unwrap_or("http");
        let plain = |host: &&str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
        let host = text("x-forwarded-host").filter(plain).or_else(|| text("host").filter(plain)).unwrap_or("localhost");
        let prefix = text("x-forwarded-prefix")
            .map(|p| p.trim_matches('/'))
            .filter(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~/".contains(&b)));
        let mut base = format!("{scheme}://{host}");
        if let Some(prefix) = prefix {
            base.push('/');
            base.push_str(prefix);
        }
        Self { base }
    }

    /// A fixed origin, from a setting such as `Server.Address`.
    #[must_use]
    pub fn fixed(url: &str) -> Self {
        Self { base: url.trim_end_matches('/').to_owned() }
    }

    /// The absolute URL of `path`, which starts with `/`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Scheme, host and prefix, without a slash at the end.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The same by HTTPS, on another port.
    #[must_use]
    pub fn secured(&self, port: u16) -> Self {
        let rest = self.base.split_once("://").map_or(self.base.as_str(), |(_, rest)| rest);
        let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let name = match host.rsplit_once(':') {
            // A colon inside brackets belongs to the address.
            Some((name, old)) if old.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let port = if port == 443 { String::new() } else { format!(":{port}") };
        Self { base: format!("https://{name}{port}{path}") }
    }

    /// True when the client came by HTTPS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.base.starts_with("https://")
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::from_headers(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_view_wins() {
        let origin = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(k, v)| ((*k).parse().unwrap(), v.parse().unwrap())).collect();
            Origin::from_headers(&headers).url("/x")
        };
        assert_eq!(origin(&[("host", "a:3939")]), "http://a:3939/x");
        assert_eq!(
            origin(&[
                ("host", "a:3939"),
                ("x-forwarded-proto", "https, http"),
                ("x-forwarded-host", "pub.example, b"),
                ("x-forwarded-prefix", "/rsc/")
            ]),
            "https://pub.example/rsc/x"
        );
        assert_eq!(origin(&[("host", "a\"><script>")]), "http://localhost/x");
        assert_eq!(Origin::fixed("https://h/p/").url("/x"), "https://h/p/x");
    }

    #[test]
    fn the_same_by_https() {
        let secured = |base: &str, port| Origin::fixed(base).secured(port).url("/x");
        assert_eq!(secured("http://h:80/p/q", 443), "https://h/p/q/x");
        assert_eq!(secured("http://h", 8443), "https://h:8443/x");
        assert_eq!(secured("http://[::1]:80", 1), "https://[::1]:1/x");
        assert_eq!(secured("http://[::1]", 443), "https://[::1]/x");
    }
}
