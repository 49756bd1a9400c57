package io.github.dl4jlora.frozen;

/**
 * The name of {@link io.github.dl4jlora.conf.BaseOpener} in 0.2.0, for code that was compiled against it. Openers that are
 * registered in {@code META-INF/services/io.github.dl4jlora.frozen.BaseOpener} are still found.
 *
 * @deprecated since 0.3.0: implement {@link io.github.dl4jlora.conf.BaseOpener}
 */
@Deprecated(since = "0.3.0")
public interface BaseOpener extends io.github.dl4jlora.conf.BaseOpener {
}
