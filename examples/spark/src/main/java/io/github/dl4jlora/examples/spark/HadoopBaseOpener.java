package io.github.dl4jlora.examples.spark;

import io.github.dl4jlora.conf.BaseOpener;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkEnv;
import org.apache.spark.deploy.SparkHadoopUtil;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;

/**
 * Opens a base on any file system that Hadoop knows ({@code hdfs:}, {@code s3a:}, {@code viewfs:}, …) with the Hadoop
 * settings of the running job: {@code spark.hadoop.*} reaches the executors.
 */
public final class HadoopBaseOpener implements BaseOpener {

    @Override
    public boolean opens(URI location) {
        try {
            FileSystem.getFileSystemClass(location.getScheme(), settings());
            return true;
        } catch (IOException unknownScheme) {
            return false;
        }
    }

    @Override
    public InputStream open(URI location) throws IOException {
        return FileSystem.get(location, settings()).open(new Path(location));
    }

    private static Configuration settings() {
        SparkEnv job = SparkEnv.get();
        return job == null ? new Configuration() : SparkHadoopUtil.get().newConfiguration(job.conf());
    }
}
