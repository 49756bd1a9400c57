package io.github.dl4jlora.benchmarks;

import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.openblas.global.openblas_nolapack;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.util.Objects;

/**
 * A child process: prints facts of the software that the Java sides run on, one per line, name and value separated by a tab. With
 * {@code OPENBLAS_VERBOSE=2}, OpenBLAS also says which kernels it chose.
 */
final class MachineChild {

    /** Name of the fact which oneDNN there is. */
    static final String ONEDNN = "oneDNN";
    /** What that fact is where there is none. */
    static final String ABSENT = "not on the class path";

    private MachineChild() {
    }

    public static void main(String[] args) throws IOException, ReflectiveOperationException {
        Nd4j.create(1);
        print("JVM", System.getProperty("java.vm.name") + " " + Runtime.version());
        print("ND4J", Loader.getVersion("org.nd4j", "nd4j-native"));
        print("JavaCPP", Loader.getVersion());
        print("OpenBLAS", Loader.getVersion("org.bytedeco", "openblas") + ": " + configuration());
        print(ONEDNN, oneDnn());
        System.exit(0);
    }

    private static void print(String name, String value) {
        System.out.println(Child.RESULT + name + "\t" + value);
    }

    private static String oneDnn() throws IOException {
        try {
            Class.forName("org.bytedeco.dnnl.global.dnnl", false, MachineChild.class.getClassLoader());
        } catch (ClassNotFoundException e) {
            return ABSENT;
        }
        return Objects.requireNonNullElse(Loader.getVersion("org.bytedeco", "dnnl"), "of an unknown version");
    }

    /** OpenBLAS's own description if its binding can ask for it, which ND4J's own cannot; otherwise the version. */
    private static String configuration() throws ReflectiveOperationException {
        try {
            return ((BytePointer) Class.forName("org.bytedeco.openblas.global.openblas_full").getMethod("openblas_get_config")
                    .invoke(null)).getString();
        } catch (ClassNotFoundException e) {
            // By reflection: a constant would be that of the version compiled against.
            return openblas_nolapack.class.getField("OPENBLAS_VERSION").get(null).toString().strip();
        }
    }
}
