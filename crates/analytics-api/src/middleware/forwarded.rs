//! What a proxy says about a request, in `X-Forwarded-*`, `Forwarded` and the header of a gateway's
//! token: only from the proxies in `TRUSTED_PROXIES`. From anybody else these headers are removed
//! before anything reads them.

use std::net::IpAddr;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, X_FORWARDED_FOR};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage as _};
use ipnet::IpNet;

use crate::settings::ApiSettings;

/// The networks of the proxies whose word counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Parses addresses and networks, separated by commas.
    ///
    /// # Errors
    /// What they must be.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let networks = entries.map(|entry| entry.parse().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from)));
        let networks: Result<Vec<_>, _> = networks.collect();
        networks.map(Self).map_err(|_| "must be addresses and networks, such as 10.0.0.0/8,::1, or none")
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Returns the address of the client: the last of the chain that is not a trusted proxy. Each proxy
    /// appends the address from which it got the request; what comes before is the client's own word.
    fn client(&self, peer: IpAddr, chain: &str) -> IpAddr {
        let mut client = peer;
        for entry in chain.rsplit(',') {
            if !self.trusts(client) {
                break;
            }
            let Some(address) = address(entry.trim()) else { break };
            client = address;
        }
        client
    }
}

/// Parses an address as proxies write it: with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(text, |(address, _)| address);
    let parsed = bare.parse().ok().or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()));
    parsed.map(|address: IpAddr| address.to_canonical())
}

/// The address of the client that sent a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

pub(crate) async fn forwarded<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
    if let (Some(peer), Some(settings)) = (peer, request.app_data::<Data<ApiSettings>>().cloned()) {
        let proxies = &settings.trusted_proxies;
        if !proxies.trusts(peer) {
            let gateway = settings.dashboard.gateway.as_ref().and_then(|gateway| gateway.header_name());
            let names: Vec<HeaderName> =
                request.headers().keys().filter(|name| is_of_proxy(name) || Some(*name) == gateway).cloned().collect();
            names.iter().for_each(|name| drop(request.headers_mut().remove(name)));
        }
        let chain: Vec<&str> =
            request.headers().get_all(X_FORWARDED_FOR).filter_map(|value| value.to_str().ok()).collect();
        let client = proxies.client(peer, &chain.join(","));
        request.extensions_mut().insert(ClientAddress(client));
    }
    next.call(request).await
}

fn is_of_proxy(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-forwarded-") || name.as_str() == "forwarded"
}

#[cfg(test)]
mod tests {
    use super::Proxies;

    #[test]
    fn the_client_is_the_last_address_that_is_not_a_trusted_proxy() {
        let proxies = Proxies::parse("10.0.0.0/8, ::1").unwrap();
        for (peer, chain, client) in [
            ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
            ("10.0.0.1", "1.1.1.1, 198.51.100.7, 10.9.9.9", "198.51.100.7"),
            ("10.0.0.1", "1.1.1.1, nonsense", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("::1", "[2001:db8::7]:4711", "2001:db8::7"),
            ("::1", "198.51.100.7:4711", "198.51.100.7"),
            ("::1", "::ffff:198.51.100.7", "198.51.100.7"),
        ] {
            assert_eq!(proxies.client(peer.parse().unwrap(), chain).to_string(), client, "{peer} {chain}");
        }
        assert!(Proxies::parse("").unwrap().0.is_empty());
        for wrong in ["10.0.0.0/33", "proxy.example", "10.0.0.1-10.0.0.9", "10.0.0.0/8;::1"] {
            assert!(Proxies::parse(wrong).is_err(), "{wrong}");
        }
    }
}
