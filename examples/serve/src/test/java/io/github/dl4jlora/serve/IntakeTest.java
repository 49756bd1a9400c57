package io.github.dl4jlora.serve;

import jakarta.servlet.ServletRequest;
import org.junit.jupiter.api.Test;

import java.lang.reflect.Proxy;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class IntakeTest {

    private final Intake intake = new Intake(1_000, new Pace(Duration.ofHours(1), 1));

    /** Of a request, nothing but its attributes is asked for. */
    private static ServletRequest request() {
        Map<Object, Object> attributes = new HashMap<>();
        return (ServletRequest) Proxy.newProxyInstance(IntakeTest.class.getClassLoader(), new Class<?>[] {ServletRequest.class},
                (proxy, method, args) -> method.getName().equals("setAttribute") ? attributes.put(args[0], args[1])
                        : attributes.get(args[0]));
    }

    /** Who asks again later is refused again. */
    @Test
    void whatNeverFitsIsTooLargeAndNotTooMuchForNow() {
        Intake.Share share = intake.of(request());
        share.hold(600);

        assertThatThrownBy(() -> share.add(500)).isInstanceOfSatisfying(Problem.class, problem -> {
            assertThat(problem.status()).isEqualTo(413);
            assertThat(problem.isPassing()).isFalse();
        }).hasMessageContaining("take 1100 bytes").hasMessageContaining("may take 1000");
        assertThat(intake.held()).isEqualTo(600);

        assertThatThrownBy(() -> intake.of(request()).hold(500)).isInstanceOfSatisfying(Problem.class, problem -> {
            assertThat(problem.status()).isEqualTo(429);
            assertThat(problem.isPassing()).isTrue();
        });
    }
}
