//! Prepares a request and prints it as a `curl` command, for any transport to carry.
//!
//! ```sh
//! cargo run -p mixin-pin-protocol --example prepare -- keystore.json
//! ```

use std::error::Error;
use std::time::SystemTime;

use getrandom::{SysRng, rand_core::UnwrapErr};
use mixin_pin_protocol::call::Calls;
use mixin_pin_protocol::core::UnixTime;
use mixin_pin_protocol::keystore::Keystore;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: prepare KEYSTORE")?;
    let mut rng = UnwrapErr(SysRng);
    let session = Keystore::parse(&std::fs::read(path)?)?.into_session(&mut rng)?;
    let now = UnixTime::try_from(SystemTime::now())?;
    let request = Calls::new(&session, now, &mut rng).me()?.sign(session.signer(), &mut rng)?;
    print!("curl 'https://api.mixin.one{}'", request.path());
    for (name, value) in request.headers() {
        print!(" \\\n  -H '{name}: {value}'");
    }
    println!();
    Ok(())
}
