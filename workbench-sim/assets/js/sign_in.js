// The sign-in page: encrypts name and password with the server's key, and notices when another tab signs in.

const form = document.forms.login_form;
const real = document.forms.realform;

// PKCS#1 v1.5, which the browser's own cryptography does not offer.
function encrypt(publicKey, text) {
  const [exponent, modulus] = publicKey.trim().split(":").map((hex) => BigInt("0x" + hex));
  const size = Math.ceil(modulus.toString(16).length / 2);
  const message = new TextEncoder().encode(text);
  if (size - message.length < 11) throw new Error("Name and password are too long.");
  const padding = new Uint8Array(size - message.length - 3);
  for (let i = 0; i < padding.length; i++) {
    // Padding has no zero bytes.
    do { crypto.getRandomValues(padding.subarray(i, i + 1)); } while (padding[i] === 0);
  }
  const block = [0, 2, ...padding, 0, ...message];
  let base = BigInt("0x" + block.map((byte) => byte.toString(16).padStart(2, "0")).join(""));
  let result = 1n;
  for (let e = exponent; e > 0n; e >>= 1n) {
    if (e & 1n) result = (result * base) % modulus;
    base = (base * base) % modulus;
  }
  const hex = result.toString(16).padStart(size * 2, "0");
  const bytes = hex.match(/../g).map((pair) => parseInt(pair, 16));
  return btoa(String.fromCharCode(...bytes));
}

function fail(text) {
  document.getElementById("errortext").textContent = "Error: " + text;
  document.getElementById("errorpanel").style.display = "block";
  document.getElementById("live-error").textContent = text;
}

const shown = document.getElementById("errortext").textContent.trim();
if (shown) document.getElementById("live-error").textContent = shown;

if (real) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = document.getElementById("signinbutton");
    button.disabled = true;
    try {
      const answer = await fetch("auth-public-key", { cache: "no-store" });
      if (!answer.ok) throw new Error("The server did not send its key.");
      document.getElementById("package").value =
        encrypt(await answer.text(), form.username.value + "\n" + form.password.value);
      document.getElementById("persist").value = form.staySignedIn?.checked ? "1" : "0";
      document.getElementById("clientPath").value = location.pathname;
      real.submit();
    } catch (error) {
      fail(error.message);
      button.disabled = false;
    }
  });
}

// A home page that answers without sending one back here means that another tab signed in.
const watching = setInterval(async () => {
  if (document.hidden) return;
  try {
    const answer = await fetch("./", { redirect: "manual", headers: { "X-RStudio-Refresh-Auth-Creds": "0" } });
    if (answer.ok) {
      clearInterval(watching);
      document.getElementById("controls").hidden = true;
      document.getElementById("goback").hidden = false;
    }
  } catch {
    // The server is away; the next time may do.
  }
}, 1000);
