import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Asks the policy sidecar for one decision and prints allow or deny. Whatever goes wrong is a denial.
 *
 * <pre>java Ask.java PATH INPUT</pre>
 *
 * It exits with 0 for allow, 1 for deny, and 2 where nothing was decided, which is printed as deny as well. It needs Java 11. That
 * has no HTTP over Unix sockets, so the sidecar is asked over TCP, with a token.
 */
public class Ask {
  static final Duration PATIENCE = Duration.ofSeconds(2); // for a decision, which takes less than a millisecond

  public static void main(String[] args) {
    if (args.length != 2) {
      System.err.println("usage: java Ask.java PATH INPUT, such as: java Ask.java orders/allow '{\"role\": \"clerk\", \"amount\": 40}'");
      System.exit(2);
    }
    try {
      boolean allowed = ask(args[0], args[1]);
      System.out.println(allowed ? "allow" : "deny");
      System.exit(allowed ? 0 : 1);
    } catch (Exception e) {
      System.out.println("deny");
      System.err.println("not decided: " + e);
      System.exit(2);
    }
  }

  /** Whether the document at a path is true for the input. False and undefined are denials, anything else is an exception. */
  static boolean ask(String path, String input) throws IOException, InterruptedException {
    Sidecar sidecar = Sidecar.find();
    String escaped = Arrays.stream(path.split("/"))
        .map(part -> URLEncoder.encode(part, StandardCharsets.UTF_8).replace("+", "%20"))
        .collect(Collectors.joining("/"));
    // The older of OPA's two routes answers the document alone, so that no library for JSON is needed here.
    HttpRequest request = HttpRequest.newBuilder(URI.create("http://" + sidecar.address + "/v0/data/" + escaped))
        .timeout(PATIENCE)
        .header("Content-Type", "application/json")
        .header("Authorization", "Bearer " + sidecar.token)
        .POST(HttpRequest.BodyPublishers.ofString(input))
        .build();
    HttpClient client = HttpClient.newBuilder()
        .version(HttpClient.Version.HTTP_1_1)
        .connectTimeout(PATIENCE)
        .proxy(HttpClient.Builder.NO_PROXY)
        .build();
    HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
    String answer = response.body().strip();
    if (response.statusCode() == 404 && answer.contains("\"undefined_document\"")) {
      return false;
    }
    if (response.statusCode() != 200) { // such as 401, a wrong token, and 503, no policy or too many decisions at once
      throw new IOException("the sidecar answered " + response.statusCode() + ": " + answer);
    }
    switch (answer) {
      case "true":
        return true;
      case "false":
        return false;
      default:
        throw new IOException(path + " is neither true nor false");
    }
  }

  /** Where the sidecar is, found as its commands find it. */
  static class Sidecar {
    final String address;
    final String token;

    Sidecar(String address, String token) {
      this.address = address;
      this.token = token;
    }

    static Sidecar find() throws IOException {
      Path home = Path.of(or(System.getenv("DEFENSECLAW_HOME"), System.getProperty("user.home") + "/.defenseclaw"));
      String address;
      String port = or(System.getenv("DEFENSECLAW_API_PORT"), "0");
      if (!port.equals("0")) {
        address = or(System.getenv("DEFENSECLAW_API_BIND"), "127.0.0.1") + ":" + port;
      } else {
        String published = Files.readString(home.resolve("gateway.json"));
        if (!first("\"tls_cert\"\\s*:\\s*\"([^\"]+)\"", published).isEmpty()) {
          throw new IOException("the sidecar speaks TLS, which this example does not");
        }
        address = first("\"api_addr\"\\s*:\\s*\"([^\"]+)\"", published);
      }
      if (address.isEmpty() || address.startsWith("unix:")) {
        throw new IOException("the sidecar listens at no TCP address");
      }
      return new Sidecar(address, token(home.resolve(".env")));
    }

    /** The token of the environment, or the one that the first start made. */
    static String token(Path env) throws IOException {
      String token = or(System.getenv("DEFENSECLAW_GATEWAY_TOKEN"), "");
      if (token.isEmpty()) {
        try {
          token = first("(?m)^DEFENSECLAW_GATEWAY_TOKEN=[\"']?([^\"'\\r\\n]+)", Files.readString(env));
        } catch (NoSuchFileException e) {
          // there is none
        }
      }
      if (token.isEmpty()) {
        throw new IOException("there is no token in DEFENSECLAW_GATEWAY_TOKEN nor in .env in the data directory");
      }
      return token;
    }

    static String first(String pattern, String text) {
      Matcher m = Pattern.compile(pattern).matcher(text);
      return m.find() ? m.group(1) : "";
    }

    static String or(String value, String otherwise) {
      return value == null || value.isEmpty() ? otherwise : value;
    }
  }
}
