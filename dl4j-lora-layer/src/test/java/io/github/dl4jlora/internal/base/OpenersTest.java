package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.conf.BaseOpener;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.InputStream;
import java.net.MalformedURLException;
import java.net.URI;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Openers that were registered when the interface was io.github.dl4jlora.frozen.BaseOpener. */
class OpenersTest {

    private static final URI LOCATION = URI.create("attic:/base.zip");

    @TempDir
    Path folder;

    private final ClassLoader before = Thread.currentThread().getContextClassLoader();

    /** Compiled against 0.2.0. */
    @SuppressWarnings("deprecation")
    public static final class Old implements io.github.dl4jlora.frozen.BaseOpener {

        @Override
        public boolean opens(URI location) {
            return "attic".equals(location.getScheme());
        }

        @Override
        public InputStream open(URI location) {
            return InputStream.nullInputStream();
        }
    }

    /** Compiled against the new interface, in a file that still has the old name. */
    public static final class Renamed implements BaseOpener {

        @Override
        public boolean opens(URI location) {
            return "attic".equals(location.getScheme());
        }

        @Override
        public InputStream open(URI location) {
            return InputStream.nullInputStream();
        }
    }

    @BeforeEach
    void ownClassPath() throws MalformedURLException {
        Thread.currentThread().setContextClassLoader(new URLClassLoader(new URL[] {folder.toUri().toURL()}, before));
    }

    @AfterEach
    void back() throws IOException {
        ((URLClassLoader) Thread.currentThread().getContextClassLoader()).close();
        Thread.currentThread().setContextClassLoader(before);
    }

    private void register(String lines) throws IOException {
        Path services = Files.createDirectories(folder.resolve("META-INF/services"));
        Files.writeString(services.resolve("io.github.dl4jlora.frozen.BaseOpener"), lines);
    }

    @Test
    void whatImplementsTheOldInterfaceIsFound() throws IOException {
        register("# of 0.2.0\n" + Old.class.getName() + " # and a remark\n\n");

        assertThat(Openers.of(LOCATION)).containsInstanceOf(Old.class);
        assertThat(Openers.of(URI.create("cellar:/base.zip"))).isEmpty();
    }

    @Test
    void whatImplementsTheNewInterfaceIsFoundUnderTheOldName() throws IOException {
        register(Renamed.class.getName());

        assertThat(Openers.of(LOCATION)).containsInstanceOf(Renamed.class);
    }

    @Test
    void thePresentNameComesFirst() throws IOException {
        register(Renamed.class.getName());
        assertThat(Openers.of(URI.create("memory:/base.zip"))).containsInstanceOf(MemoryBases.class);
    }

    @Test
    void nothingIsFoundWhereNothingIsRegistered() throws IOException {
        assertThat(Openers.of(LOCATION)).isEmpty();
    }

    /** As ServiceLoader, which makes one at a time. */
    @Test
    void whatCannotBeUsedDoesNotDisableThoseBeforeIt() throws IOException {
        register(Renamed.class.getName() + "\nno.such.Opener");

        assertThat(Openers.of(LOCATION)).containsInstanceOf(Renamed.class);
    }

    @Test
    void whatIsNoOpenerIsRefusedByName() throws IOException {
        for (String name : new String[] {"java.lang.String", "no.such.Opener"}) {
            register(name);
            assertThatThrownBy(() -> Openers.of(LOCATION)).isInstanceOf(IOException.class)
                    .hasMessageContainingAll("frozen.BaseOpener names " + name, "must be a public class");
        }
    }
}
