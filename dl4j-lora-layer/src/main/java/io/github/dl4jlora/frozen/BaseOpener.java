package io.github.dl4jlora.frozen;

/**
 * The name that 0.2.0 had for {@link io.github.dl4jlora.conf.BaseOpener}, for what was compiled against it. What is registered
 * in {@code META-INF/services/io.github.dl4jlora.frozen.BaseOpener} is still found.
 *
 * @deprecated since 0.3.0: implement {@link io.github.dl4jlora.conf.BaseOpener}
 */
@Deprecated(since = "0.3.0")
public interface BaseOpener extends io.github.dl4jlora.conf.BaseOpener {
}
