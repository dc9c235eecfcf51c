package orders;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.source.JWKSource;
import com.nimbusds.jose.jwk.source.JWKSourceBuilder;
import com.nimbusds.jose.proc.BadJOSEException;
import com.nimbusds.jose.proc.DefaultJOSEObjectTypeVerifier;
import com.nimbusds.jose.proc.JWSVerificationKeySelector;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jose.util.DefaultResourceRetriever;
import com.nimbusds.jose.util.JSONObjectUtils;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.SignedJWT;
import com.nimbusds.jwt.proc.BadJWTException;
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;
import java.io.IOException;
import java.net.URI;
import java.text.ParseException;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/** One for the whole service: it caches the keys, and any number of threads may use it. */
public final class NimbusVerifier {

    private static final Pattern COMPACT = Pattern.compile("[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+){2}");

    private final DefaultJWTProcessor<SecurityContext> processor = new DefaultJWTProcessor<>();

    /** @param issuer https://auth.example.com, exactly as tokens name it */
    public NimbusVerifier(String issuer, String audience) throws IOException, ParseException {
        var http = new DefaultResourceRetriever(2000, 2000, 100_000);
        var metadata = JSONObjectUtils.parse(
                http.retrieveResource(URI.create(issuer + "/.well-known/openid-configuration").toURL()).getContent());
        if (!issuer.equals(metadata.get("issuer"))) {
            throw new IOException("the metadata is of another issuer");
        }
        JWKSource<SecurityContext> keys = JWKSourceBuilder
                .create(URI.create(JSONObjectUtils.getString(metadata, "jwks_uri")).toURL(), http)
                .cache(300_000, 5_000)
                // Tokens with invented key ids must not make us ask the issuer again and again.
                .rateLimited(30_000)
                .retrying(true)
                .outageTolerant(3_600_000)
                .build();

        // Without a type verifier that says so, only JWT or no type at all is taken.
        processor.setJWSTypeVerifier(new DefaultJOSEObjectTypeVerifier<>(
                new JOSEObjectType("at+jwt"), new JOSEObjectType("application/at+jwt")));
        processor.setJWSKeySelector(new JWSVerificationKeySelector<>(JWSAlgorithm.RS256, keys));
        var claims = new DefaultJWTClaimsVerifier<>(
                audience,
                new JWTClaimsSet.Builder().issuer(issuer).build(),
                Set.of("sub", "client_id", "iat", "exp", "jti"));
        claims.setMaxClockSkew(30);
        processor.setJWTClaimsSetVerifier(claims);
    }

    /** The exception says for the log what is wrong; the client is told 401 and no more. */
    public JWTClaimsSet verify(String token) throws ParseException, BadJOSEException, JOSEException {
        // Nimbus reads over line breaks, padding and other alphabets, and over null where a claim must be.
        if (token.length() > 8192 || !COMPACT.matcher(token).matches()) {
            throw new BadJWTException("not a compact JWS");
        }
        SignedJWT jwt = SignedJWT.parse(token);
        Map<String, Object> claims = jwt.getPayload().toJSONObject();
        if (jwt.getHeader().getKeyID() == null || jwt.getHeader().getCriticalParams() != null) {
            throw new BadJWTException("no kid, or crit, of which nothing is known here");
        }
        if (!(claims.get("sub") instanceof String) || !(claims.get("exp") instanceof Number)) {
            throw new BadJWTException("sub is no text or exp no number");
        }
        // Without a proof of the key (RFC 9449), which is not looked at here, it may be stolen.
        if (claims.containsKey("cnf")) {
            throw new BadJWTException("bound to a key");
        }
        return processor.process(jwt, null);
    }
}
