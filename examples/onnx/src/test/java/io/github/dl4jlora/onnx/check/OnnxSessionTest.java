package io.github.dl4jlora.onnx.check;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class OnnxSessionTest {

    @Test
    void allAreClosedAlthoughSomeFail() {
        List<String> closed = new ArrayList<>();
        AutoCloseable first = () -> {
            throw new IOException("first");
        };
        AutoCloseable second = () -> {
            throw new IllegalStateException("second");
        };

        assertThatThrownBy(() -> OnnxSession.closeAll(List.of(first, second, () -> closed.add("third"))))
                .isInstanceOf(IOException.class).hasMessage("first").hasSuppressedException(new IllegalStateException("second"));
        assertThat(closed).containsExactly("third");
    }
}
