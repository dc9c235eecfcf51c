package orders;

import com.nimbusds.jwt.SignedJWT;
import java.text.ParseException;
import java.util.Map;
import java.util.regex.Pattern;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.security.oauth2.core.OAuth2Error;
import org.springframework.security.oauth2.core.OAuth2TokenValidator;
import org.springframework.security.oauth2.core.OAuth2TokenValidatorResult;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.security.oauth2.jwt.JwtTypeValidator;
import org.springframework.security.oauth2.jwt.JwtValidators;

/** These beans join the validators that Spring Boot makes from application.yml. */
@Configuration(proxyBeanMethods = false)
class AccessTokens {

    private static final Pattern COMPACT = Pattern.compile("[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+){2}");

    /** Takes the place of the default, which wants the type JWT or none, so refuses every access token of RFC 9068. */
    @Bean
    JwtTypeValidator accessTokensOnly() {
        return new JwtTypeValidator("at+jwt", "application/at+jwt");
    }

    /** By default a token without exp, sub or client_id passes. */
    @Bean
    OAuth2TokenValidator<Jwt> profileOfAccessTokens(
            @Value("${spring.security.oauth2.resourceserver.jwt.issuer-uri}") String issuer,
            @Value("${spring.security.oauth2.resourceserver.jwt.audiences}") String audience) {
        return JwtValidators.createAtJwtValidator().issuer(issuer).audience(audience).build();
    }

    /**
     * Spring checks what it has made of a token: padding is gone, numbers have become texts, a missing iat has been made
     * up, and the issuer is spelled as URLs are. So this reads the token once more, as it was signed.
     */
    @Bean
    OAuth2TokenValidator<Jwt> asItWasSigned(
            @Value("${spring.security.oauth2.resourceserver.jwt.issuer-uri}") String issuer) {
        return jwt -> isStrict(jwt.getTokenValue(), issuer)
                ? OAuth2TokenValidatorResult.success()
                : OAuth2TokenValidatorResult.failure(new OAuth2Error("invalid_token", "not as the issuer writes it", null));
    }

    private static boolean isStrict(String token, String issuer) {
        try {
            SignedJWT jwt = SignedJWT.parse(token);
            Map<String, Object> claims = jwt.getPayload().toJSONObject();
            return COMPACT.matcher(token).matches()
                    && jwt.getHeader().getKeyID() != null
                    && jwt.getHeader().getCriticalParams() == null
                    && issuer.equals(claims.get("iss"))
                    && claims.get("sub") instanceof String
                    && claims.get("iat") instanceof Number
                    // Bound to a key (RFC 9449): without a proof of it, which is not looked at here, it may be stolen.
                    && !claims.containsKey("cnf");
        } catch (ParseException e) {
            return false;
        }
    }
}
