package orders;

import com.nimbusds.jose.util.JSONObjectUtils;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.web.server.context.WebServerApplicationContext;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** Judges the tokens on standard input, see ../README.md. The argument names the library: spring or nimbus. */
@SpringBootApplication
@RestController
public class Main {

    /** @return why the token is refused, or null */
    interface Judge {
        String judge(String token) throws Exception;
    }

    @GetMapping("/orders")
    String orders(@AuthenticationPrincipal Jwt jwt) {
        return "orders of " + jwt.getSubject();
    }

    public static void main(String[] args) throws Exception {
        Judge judge = "spring".equals(args[0]) ? spring() : nimbus();
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line; (line = in.readLine()) != null;) {
            Map<String, Object> asked = JSONObjectUtils.parse(line);
            String error;
            try {
                error = judge.judge((String) asked.get("token"));
            } catch (Exception e) {
                error = e.toString();
            }
            Map<String, Object> verdict = new LinkedHashMap<>();
            verdict.put("name", asked.get("name"));
            verdict.put("accepted", error == null);
            if (error != null) verdict.put("error", error);
            out.println(JSONObjectUtils.toJSONString(verdict));
        }
        out.flush();
        // Tomcat would go on serving.
        System.exit(0);
    }

    private static Judge nimbus() throws Exception {
        var verifier = new NimbusVerifier(System.getenv("ISSUER"), System.getenv("AUDIENCE"));
        return token -> verifier.verify(token) == null ? "no claims" : null;
    }

    /** A service of Spring Boot, asked over HTTP as by a client. */
    private static Judge spring() {
        var context = (WebServerApplicationContext) SpringApplication.run(Main.class,
                "--server.address=127.0.0.1", "--server.port=0", "--spring.main.banner-mode=off",
                "--logging.level.root=off");
        var orders = URI.create("http://127.0.0.1:" + context.getWebServer().getPort() + "/orders");
        var client = HttpClient.newHttpClient();
        return token -> {
            var request = HttpRequest.newBuilder(orders).header("Authorization", "Bearer " + token).build();
            var answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() == 200) return null;
            return answer.statusCode() + " " + answer.headers().firstValue("WWW-Authenticate").orElse("");
        };
    }
}
