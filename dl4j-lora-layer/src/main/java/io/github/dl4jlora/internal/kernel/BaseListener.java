package io.github.dl4jlora.internal.kernel;

/** A running layer or vertex that has looked frozen weights up, and must do so again when others are attached. */
public interface BaseListener {

    /** Other arrays hold the frozen weights from now on: nothing that was looked up or derived from them is of use. */
    void baseChanged();
}
