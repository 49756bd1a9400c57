package io.github.dl4jlora.examples.spark;

import org.apache.spark.SparkConf;

import java.io.File;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The settings that DL4J 1.0.0-M2.1 on Spark 3.3 needs on JDK 17: in the driver, the workers and the executors. */
final class SparkSettings {

    private static final List<String> OPEN_PACKAGES = List.of("java.lang", "java.lang.invoke", "java.nio", "java.util",
            "java.util.concurrent", "sun.nio.ch", "sun.security.action");

    private SparkSettings() {
    }

    /** Options of the JVM, one word each. */
    static List<String> openPackages() {
        return OPEN_PACKAGES.stream().map(name -> "--add-opens=java.base/" + name + "=ALL-UNNAMED").toList();
    }

    static Path java() {
        return Path.of(System.getProperty("java.home"), "bin", "java");
    }

    /** This JVM's class path, valid in any working directory; Surefire hides it behind its own jar. */
    static String classPath() {
        String path = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
        return Arrays.stream(path.split(File.pathSeparator)).map(entry -> Path.of(entry).toAbsolutePath().toString())
                .collect(Collectors.joining(File.pathSeparator));
    }

    /**
     * @param master {@code local[2]} or the URL of a cluster on this machine, whose executors share our class path
     */
    static SparkConf conf(String master) {
        String executorOptions = String.join(" ", Stream.concat(openPackages().stream(), Stream.of(
                "-Dlogback.configurationFile=cluster-logback.xml", "-Daeron.publication.unblock.timeout=40000000000",
                "-Dorg.bytedeco.javacpp.maxbytes=2g", "-Dorg.bytedeco.javacpp.maxphysicalbytes=4g")).toList());
        return new SparkConf().setAppName("dl4j-lora").setMaster(master)
                .set("spark.ui.enabled", "false")
                .set("spark.driver.host", "127.0.0.1")
                .set("spark.driver.bindAddress", "127.0.0.1")
                .set("spark.executor.memory", "1g")
                .set("spark.executor.extraClassPath", classPath())
                .set("spark.executor.extraJavaOptions", executorOptions)
                .set("spark.executorEnv.OMP_NUM_THREADS", "1")
                // Waits for both executors before the first round, which would otherwise train on one of them.
                .set("spark.cores.max", Integer.toString(Engine.WORKERS))
                .set("spark.scheduler.minRegisteredResourcesRatio", "1")
                .set("spark.scheduler.maxRegisteredResourcesWaitingTime", "60s")
                .set("spark.locality.wait", "0s");
    }
}
