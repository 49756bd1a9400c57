package io.github.dl4jlora.cli;

import java.util.concurrent.Callable;

/** A command of another module: a class with picocli's annotations, which {@link java.util.ServiceLoader} finds. */
public interface AddedCommand extends Callable<Integer> {
}
